package mailbox

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// parse reads a message as a mail reader would: decoded headers, and the text of its first text/plain part.
func parse(raw []byte) (Message, error) {
	in, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Message{}, fmt.Errorf("not a mail: %w", err)
	}
	body, err := text(in.Header.Get("Content-Type"), in.Header.Get("Content-Transfer-Encoding"), in.Body)
	if err != nil {
		return Message{}, err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(in.Header.Get("Subject"))
	if err != nil {
		return Message{}, fmt.Errorf("subject: %w", err)
	}
	return Message{
		Subject: subject, MessageID: in.Header.Get("Message-Id"), InReplyTo: in.Header.Get("In-Reply-To"),
		References: strings.Fields(in.Header.Get("References")), Header: in.Header, Body: body, Raw: raw,
	}, nil
}

func text(contentType, encoding string, r io.Reader) (string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if contentType != "" && err != nil {
		return "", fmt.Errorf("content type %q: %w", contentType, err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		return firstText(multipart.NewReader(r, params["boundary"]))
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	}
	body, err := io.ReadAll(r)
	return strings.ReplaceAll(string(body), "\r\n", "\n"), err
}

func firstText(parts *multipart.Reader) (string, error) {
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		kind := part.Header.Get("Content-Type")
		if kind == "" || strings.HasPrefix(kind, "text/plain") || strings.HasPrefix(kind, "multipart/") {
			return text(kind, part.Header.Get("Content-Transfer-Encoding"), part)
		}
	}
}
