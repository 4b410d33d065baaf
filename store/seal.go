package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
)

// sealer encrypts PCU passwords at rest with AES-256-GCM, bound to the PCU they belong to.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) == 0 {
		return nil, nil
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("the key for PCU passwords has %d bytes, not 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead}, err
}

func (s *sealer) seal(pcu int, password string) []byte {
	if s == nil || password == "" {
		return nil
	}
	nonce := make([]byte, s.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails since Go 1.24
	return s.aead.Seal(nonce, nonce, []byte(password), strconv.AppendInt(nil, int64(pcu), 10))
}

func (s *sealer) open(pcu int, sealed []byte) (string, error) {
	switch {
	case len(sealed) == 0:
		return "", nil
	case s == nil:
		return "", errors.New("a PCU password is sealed and secrets.key_file is not set")
	case len(sealed) < s.aead.NonceSize():
		return "", errors.New("the sealed PCU password is damaged")
	}
	nonce, text := sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, nonce, text, strconv.AppendInt(nil, int64(pcu), 10))
	if err != nil {
		return "", errors.New("the PCU password was sealed with another key: check secrets.key_file")
	}
	return string(plain), nil
}
