package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// tagged is a thing with the tag of what it is now.
type tagged[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

func tag[T any](v T) (*tagged[T], error) {
	t, err := etag(v)
	return &tagged[T]{ETag: t, Body: v}, err
}

// etag is another one whenever anything is told otherwise.
func etag(v any) (string, error) {
	text, err := json.Marshal(v)
	sum := sha256.Sum256(text)
	return `"` + hex.EncodeToString(sum[:16]) + `"`, err
}

// unchanged refuses an order that was given in view of something that is no longer so (RFC 9110, 13.1.1).
func unchanged(ifMatch string, v any) error {
	if ifMatch == "" || strings.TrimSpace(ifMatch) == "*" {
		return nil
	}
	is, err := etag(v)
	if err != nil {
		return err
	}
	for _, t := range strings.Split(ifMatch, ",") {
		if strings.TrimSpace(t) == is {
			return nil
		}
	}
	return problem(changed, "it is "+is+" now")
}
