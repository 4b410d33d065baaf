// Package secret hides passwords in what is shown.
package secret

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Stars stand for a password.
const Stars = "********"

// Mask hides a password in what a device said or was told, in all the ways that it is written on the wire, and what may
// be a piece of it at either end of a text that was cut. Our own words are not given to it: a password may be one of
// them.
func Mask(text, password string) string {
	if password == "" {
		return text
	}
	text = strings.ReplaceAll(text, password, Stars)
	for _, written := range base64s(password) {
		text = strings.ReplaceAll(text, written, Stars)
	}
	for _, pattern := range encodings(password) {
		text = pattern.ReplaceAllString(text, Stars)
	}
	for n := len(password) - 1; n > 2; n-- {
		if rest, ok := strings.CutSuffix(text, password[:n]); ok {
			text = rest + Stars
			break
		}
	}
	for n := 1; n < len(password)-2; n++ {
		if rest, ok := strings.CutPrefix(text, password[n:]); ok {
			return Stars + rest
		}
	}
	return text
}

// leastHex is the length from which a password is looked for in hexadecimal: a shorter one would be found where it is
// none.
const leastHex = 4

// encodings are a password letter by letter, each as it is or in any of the ways of letters, in either case; and as a
// row of hexadecimal numbers.
func encodings(password string) []*regexp.Regexp {
	var letters, hex strings.Builder
	letters.WriteString(`(?i)`)
	for _, r := range password {
		letters.WriteString("(?:" + strings.Join(letterEncodings(r), "|") + ")")
	}
	list := []*regexp.Regexp{regexp.MustCompile(letters.String())}
	if len(password) < leastHex {
		return list
	}
	hex.WriteString(`(?i)(?:0x)?`)
	for i, b := range []byte(password) {
		if i > 0 {
			hex.WriteString(`[\s:,-]{0,2}(?:0x)?`)
		}
		fmt.Fprintf(&hex, "%02x", b)
	}
	return append(list, regexp.MustCompile(hex.String()))
}

// letterEncodings are patterns for one letter: as it is; in addresses and forms (percent and plus); in XML and HTML
// (entities); in JSON and program texts (escapes).
func letterEncodings(r rune) []string {
	list := []string{`\\?` + regexp.QuoteMeta(string(r)), fmt.Sprintf(`&#0*%d;?`, r), fmt.Sprintf(`&#x0*%x;?`, r)}
	var percent, escaped strings.Builder
	for _, b := range []byte(string(r)) {
		fmt.Fprintf(&percent, "%%%02x", b)
		fmt.Fprintf(&escaped, `\\x%02x`, b)
	}
	list = append(list, percent.String(), escaped.String())
	list = append(list, fmt.Sprintf(`\\U%08x`, r))
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		list = append(list, fmt.Sprintf(`\\u%04x\\u%04x`, high, low))
	} else {
		list = append(list, fmt.Sprintf(`\\u%04x`, r))
	}
	names := map[rune]string{
		'&':  `&amp;`,
		'<':  `&lt;`,
		'>':  `&gt;`,
		'"':  `&quot;`,
		'\'': `&apos;`,
		' ':  `\+`,
		'\t': `\\t`,
		'\n': `\\n`,
		'\r': `\\r`,
	}
	if name := names[r]; name != "" {
		list = append(list, name)
	}
	return list
}

// base64s are the letters of a base64 text that stand for the password, wherever in it the password begins: at its ends
// a letter may belong to a neighbour as well. Too few of them would mask what is none.
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
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return list
}
