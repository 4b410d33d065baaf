package bootman

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/planetlab/monitor/clean"
)

// secret stands where a secret stood.
const secret = "[secret]"

// What a log may hold that must not leave the node, as BootManager, its XML-RPC calls and shell traces write it.
var (
	// NODE_KEY="...", 'node_key': '...', node_key = ..., over up to five lines where it is quoted or continued; one
	// whose quote never ends goes to the end of its line.
	keyAssigned = regexp.MustCompile(`(?i)(node_?key['"]?\s*[=:]\s*u?)` + quotedOrWord)
	// The call of a node is signed by its key: {'AuthMethod': 'hmac', 'node_id': 7, 'value': '3f...'}; and passwords
	// and sessions of other calls.
	authAssigned = regexp.MustCompile(
		`(?i)((?:authstring|auth_?token|passw(?:or)?d|session|hmac)['"]?\s*[=:]\s*u?)` + quotedOrWord,
	)
	digest = regexp.MustCompile(`(?i)((?:hmac|['"]value)\b[^\n0-9a-f]{0,40})[0-9a-f]{32,}`)
	// RFC 7468; a block that was cut off ends with its last line of base64.
	pemBlock = regexp.MustCompile(
		`-----BEGIN [A-Z0-9 ]*(?:PRIVATE KEY|SECRET)[A-Z0-9 ]*-----[^\n]*(?:\n[^\n]*: [^\n]*)*(?:\n?\s*[A-Za-z0-9+/=]*\r?(?:\n|$))*(?:[ \t]*-----END [A-Z0-9 ]*-----)?`,
	)
)

const quotedOrWord = `("(?:[^"\n]*\n){0,4}[^"\n]*"|'(?:[^'\n]*\n){0,4}[^'\n]*'|["'][^\n]*|(?:\\\r?\n[ \t]*|[^\s"'])+)`

// Redact takes out of a text what is secret: keys, also over several lines, blocks of PEM, and what calls are signed
// with.
func Redact(text []byte) []byte {
	text = pemBlock.ReplaceAll(text, []byte(secret+"\n"))
	for _, re := range []*regexp.Regexp{keyAssigned, authAssigned} {
		text = re.ReplaceAllFunc(text, func(found []byte) []byte {
			name := re.FindSubmatch(found)[1]
			value := found[len(name):]
			return append(
				append(bytes.Clone(name), secret...),
				bytes.Repeat([]byte("\n"), bytes.Count(value, []byte("\n")))...)
		})
	}
	return digest.ReplaceAll(text, []byte("${1}"+secret))
}

// maxLine bounds a line that people are shown.
const maxLine = 300

// fit makes a line of a node fit for a database, a mail and a terminal.
func fit(line []byte) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(bytes.TrimSpace(line)), "?"))
	return clean.Bounded(s, maxLine)
}
