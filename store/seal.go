package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// sealer encrypts secrets at rest with AES-256-GCM. What is sealed is bound to what it belongs to, and names its key,
// so that keys can be changed one after the other: the first one seals, all open.
type sealer struct{ keys []sealingKey }

type sealingKey struct {
	id   [4]byte // the first bytes of its SHA-256
	aead cipher.AEAD
}

// sealed is how a text begins that was sealed: this byte, then the key's id, then the nonce.
const sealed = 0x02

// Why something does not open.
var (
	// ErrSealed says that a secret is there and cannot be read.
	ErrSealed = errors.New("it cannot be unsealed")

	errNoSealKey  = errors.New("it is sealed and secrets.key_file is not set")
	errOtherKey   = errors.New("it was sealed with another key: check secrets.key_file and secrets.old_key_files")
	errOtherThing = errors.New("it was sealed for something else, or changed since: the next sweep seals it anew")
	errOldForm    = errors.New("it was sealed by an earlier version: the next sweep seals it anew")
)

func newSealer(keys ...[]byte) (*sealer, error) {
	s := &sealer{}
	for _, key := range keys {
		if len(key) == 0 {
			continue
		}
		if len(key) != 32 {
			return nil, fmt.Errorf("the key for secrets at rest has %d bytes, not 32", len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		k := sealingKey{}
		if k.aead, err = cipher.NewGCM(block); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(key)
		copy(k.id[:], sum[:])
		s.keys = append(s.keys, k)
	}
	if len(s.keys) == 0 {
		return nil, nil
	}
	return s, nil
}

// bond names what a text belongs to: a text that was sealed for one thing does not open for another.
func bond(kind string, parts ...any) []byte {
	text := []byte(kind)
	for _, p := range parts {
		text = fmt.Appendf(text, " %q", fmt.Sprint(p))
	}
	return text
}

// passwordBond binds a PCU's password to the address and the model that it was given for: whoever can write to the
// table must not have it sent to a host of his.
func passwordBond(id int, host, ip, user, model string) []byte {
	return bond("pcu password", id, host, ip, user, model)
}

func (s *sealer) seal(to []byte, plain []byte) []byte {
	if s == nil || len(plain) == 0 {
		return nil
	}
	k := s.keys[0]
	out := append([]byte{sealed}, k.id[:]...)
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails since Go 1.24
	return k.aead.Seal(append(out, nonce...), nonce, plain, to)
}

// open is the text, and whether the key of today sealed it.
func (s *sealer) open(to []byte, text []byte) (plain []byte, today bool, err error) {
	switch {
	case len(text) == 0:
		return nil, true, nil
	case s == nil:
		return nil, false, errNoSealKey
	case text[0] != sealed:
		return nil, false, errOldForm
	}
	for i, k := range s.keys {
		rest, named := bytes.CutPrefix(text[1:], k.id[:])
		if !named || len(rest) < k.aead.NonceSize() {
			continue
		}
		plain, err := k.aead.Open(nil, rest[:k.aead.NonceSize()], rest[k.aead.NonceSize():], to)
		if err != nil {
			return nil, false, errOtherThing
		}
		return plain, i == 0, nil
	}
	return nil, false, errOtherKey
}
