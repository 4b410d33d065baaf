package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"strings"
)

// tokenMark begins every token, so that people, and programs that look for leaked secrets, know one when they see it.
const tokenMark = "monitor_"

// The parts of a token: its name among tokens, which is no secret, and 160 bits that are.
const (
	tokenIDBytes     = 5
	tokenSecretBytes = 20
)

// Hash is what is kept of a secret. A plain SHA-256 will do, since nobody guesses 160 random bits.
type Hash = [sha256.Size]byte

// NewToken makes a token: the text is shown once, and the id and the hash are kept.
func NewToken() (text, id string, hash Hash) {
	raw := make([]byte, tokenIDBytes+tokenSecretBytes)
	_, _ = rand.Read(raw) // which never fails
	id, secret := letters(raw[:tokenIDBytes]), letters(raw[tokenIDBytes:])
	return tokenMark + id + "_" + secret, id, sha256.Sum256([]byte(secret))
}

// ParseToken takes a token apart. What is no token at all is not ok.
func ParseToken(text string) (id string, hash Hash, ok bool) {
	rest, marked := strings.CutPrefix(text, tokenMark)
	id, secret, cut := strings.Cut(rest, "_")
	if !marked || !cut || len(id) != len(letters(make([]byte, tokenIDBytes))) ||
		len(secret) != len(letters(make([]byte, tokenSecretBytes))) {
		return "", Hash{}, false
	}
	return id, sha256.Sum256([]byte(secret)), true
}

// SameHash compares in a time that does not depend on what differs.
func SameHash(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// letters are lower case letters and digits.
func letters(raw []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
}
