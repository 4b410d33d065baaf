package bootman_test

import (
	"strings"
	"testing"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/clean"
)

func TestSecretsDoNotLeaveALog(t *testing.T) {
	const s3cret = "S3cretS3cret"
	digest := "0123456789abcdef0123456789abcdef01234567"
	pem := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n" + s3cret + "AAAA\n" + s3cret + "==\n-----END RSA PRIVATE KEY-----"
	for name, text := range map[string]string{
		"a key":                              `NODE_KEY="` + s3cret + `"`,
		"a key in single quotes":             `node_key = '` + s3cret + `'`,
		"a key without quotes":               `NODE_KEY=` + s3cret,
		"a key of a dictionary":              `{'node_id': 7, 'node_key': u'` + s3cret + `'}`,
		"a key over two lines":               "NODE_KEY=\"abc\n" + s3cret + "\"",
		"a key over three lines":             "NODE_KEY='abc\n" + s3cret + "\n" + s3cret + "'",
		"a key that is continued":            "NODE_KEY=abc\\\n  " + s3cret,
		"a key whose quote does not end":     `NODE_KEY="` + s3cret,
		"a private key":                      pem,
		"a private key that is indented":     strings.ReplaceAll(pem, "\n", "\n  "),
		"a private key with CR LF":           strings.ReplaceAll(pem, "\n", "\r\n"),
		"a private key that is cut off":      "-----BEGIN PRIVATE KEY-----\n" + s3cret + "\n" + s3cret,
		"a signature of a call":              `{'AuthMethod': 'hmac', 'node_id': 7, 'value': '` + digest + `'}`,
		"a signature by its name":            `hmac=` + digest,
		"the password of a call":             `{'AuthMethod': 'password', 'AuthString': '` + s3cret + `'}`,
		"a session":                          `{"AuthMethod": "session", "session": "` + s3cret + `"}`,
		"a password in a trace of the shell": `+ mount -o password=` + s3cret + ` /dev/x`,
	} {
		log := "before\n" + text + "\nafter the secret\n"
		got := string(bootman.Redact([]byte(log)))
		if strings.Contains(got, s3cret) || strings.Contains(got, digest) || !strings.Contains(got, "[secret]") {
			t.Errorf("%s: %q", name, got)
		}
		if !strings.HasPrefix(got, "before\n") ||
			!strings.Contains(got, "after the secret\n") && !strings.Contains(name, "cut off") {
			t.Errorf("%s: more is gone than the secret: %q", name, got)
		}
		if tail := strings.Join(bootman.Tail([]byte(log), 20), "\n"); strings.Contains(tail, s3cret) ||
			strings.Contains(tail, digest) {
			t.Errorf("%s: evidence shows %q", name, tail)
		}
	}
	for _, plain := range []string{"the value is 7\n", "no key file found\n", "session management starts at boot\n", "md5 0123456789abcdef0123456789abcdef package.rpm\n", "Authentication failed\n"} {
		if got := string(bootman.Redact([]byte(plain))); got != plain {
			t.Errorf("%q became %q", plain, got)
		}
	}
}

// FuzzTail: whatever a node's log holds, what people are shown of it is clean and bounded.
func FuzzTail(f *testing.F) {
	f.Add([]byte("NODE_KEY=\"a\nb\"\n\x1b[2J\x00\u009b31m\u202eevil\n"))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n"))
	f.Fuzz(func(t *testing.T, log []byte) {
		for _, line := range bootman.Tail(log, 20) {
			if !clean.Is(line, 300) || strings.Contains(line, "\n") {
				t.Errorf("%q", line)
			}
		}
	})
}
