package wire

// Cleaner takes away what is not text: escape sequences of terminals, also those that come in pieces, and control
// characters but the line feed.
type Cleaner struct{ escape, sequence bool }

// Append adds to a text what is one in the bytes that came.
func (c *Cleaner) Append(text, raw []byte) []byte {
	for _, b := range raw {
		switch {
		case c.sequence:
			c.sequence = b < 0x40 || b > 0x7e
		case c.escape:
			c.escape, c.sequence = false, b == '['
		case b == 0x1b:
			c.escape = true
		case b >= 0x20 && b != 0x7f || b == '\n' || b == '\t':
			text = append(text, b)
		}
	}
	return text
}
