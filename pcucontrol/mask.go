package pcucontrol

import (
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"slices"
	"strings"
)

const stars = "********"

// mask hides a password in all the ways that it is written on the wire, and what may be a piece of it at either end of a text that
// was cut.
func mask(text, password string) string {
	if password == "" {
		return text
	}
	for _, written := range writings(password) {
		text = strings.ReplaceAll(text, written, stars)
	}
	for n := len(password) - 1; n > 2; n-- {
		if rest, ok := strings.CutSuffix(text, password[:n]); ok {
			text = rest + stars
			break
		}
	}
	for n := 1; n < len(password)-2; n++ {
		if rest, ok := strings.CutPrefix(text, password[n:]); ok {
			return stars + rest
		}
	}
	return text
}

// writings are a password as it is, in forms and addresses, in JSON and XML, and in base64, also as the end of "user:password". The
// longest come first, so that no piece of one is left.
func writings(password string) []string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(password)) // a builder has no error
	list := []string{password, jsonText(password), xmlText(password), escaped.String()}
	for _, s := range []string{url.QueryEscape(password), url.PathEscape(password)} {
		list = append(list, s, lowerHex(s))
	}
	list = slices.Concat(list, base64s(password))
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return slices.DeleteFunc(slices.Compact(list), func(s string) bool { return s == "" })
}

// lowerHex is a percent-encoded text with the digits that some devices write.
func lowerHex(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(s[i+1:i+3]))
		}
	}
	return string(b)
}

// base64s are the letters of a base64 text that stand for the password, wherever in it the password begins: at its ends a letter may
// belong to a neighbour as well. Too few of them would mask what is none.
func base64s(password string) []string {
	var list []string
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := e.EncodeToString([]byte(strings.Repeat("\x00", before) + password))
			text = text[(before*8+5)/6:]
			if text = text[:len(text)-1]; len(text) >= 6 {
				list = append(list, text)
			}
		}
	}
	return list
}
