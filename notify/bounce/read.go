package bounce

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
)

// Bounds of a letter: whoever may send mail to the address may send anything.
const (
	mostBytes = 1 << 20
	mostParts = 20
)

// Letter is one that came by mail.
type Letter struct {
	Failures []Failure
	Returned string // Message-ID, with its angle brackets, of the message that came back; empty: it does not say
}

// Read takes a letter apart as a mail server hands it over.
func Read(r io.Reader) (Letter, error) {
	limited := &io.LimitedReader{R: r, N: mostBytes}
	m, err := mail.ReadMessage(limited)
	if err != nil {
		return Letter{}, fmt.Errorf("this is no letter: %w", err)
	}
	var head strings.Builder
	for name, values := range m.Header {
		for _, v := range values {
			fmt.Fprintf(&head, "%s: %s\n", name, v)
		}
	}
	parts := []Part{{Headers: head.String()}}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err == nil && strings.HasPrefix(kind, "multipart/") {
		more, err := split(m.Body, params["boundary"])
		if err != nil && limited.N > 0 { // one that is cut off is read as far as it goes
			return Letter{}, fmt.Errorf("a part of the letter: %w", err)
		}
		parts = append(parts, more...)
	}
	return Letter{Failures: Failures(parts), Returned: returned(parts)}, nil
}

func split(body io.Reader, boundary string) (parts []Part, err error) {
	for r := multipart.NewReader(body, boundary); len(parts) < mostParts; {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		content, err := io.ReadAll(p)
		kind, _, typeErr := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if typeErr == nil {
			parts = append(parts, Part{Content: string(content), ContentType: kind})
		}
		if err != nil {
			return parts, err
		}
	}
	return parts, nil
}

// returned finds the Message-ID of the message that came back, whole or its headers alone.
func returned(parts []Part) string {
	for _, p := range parts {
		if p.ContentType == "message/rfc822" || p.ContentType == "text/rfc822-headers" {
			head, _, _ := strings.Cut(strings.ReplaceAll(p.Content, "\r\n", "\n"), "\n\n")
			if id := fields(head)["message-id"]; id != "" {
				return id
			}
		}
	}
	return ""
}
