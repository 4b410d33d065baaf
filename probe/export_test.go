package probe

// ParseInside is parseInside for the tests outside.
var ParseInside = parseInside
