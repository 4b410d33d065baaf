// Package xmltext writes texts into XML, and reads the simple documents of devices.
package xmltext

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Escape writes a text into an element or an attribute, whichever quotes it has.
func Escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(s)
}

// Fields are the texts of a document's innermost elements, by their names without namespaces; of those with the same
// name, the first. Documents with a DTD are refused.
func Fields(document string) (map[string]string, error) {
	d := xml.NewDecoder(strings.NewReader(document))
	fields := map[string]string{}
	var text strings.Builder
	inner, root := "", false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && root {
			return fields, nil
		}
		if err != nil {
			return nil, fmt.Errorf("no xml: %w", err)
		}
		switch token := token.(type) {
		case xml.Directive:
			return nil, errors.New("no xml: it has a document type")
		case xml.StartElement:
			inner, root = token.Name.Local, true
			text.Reset()
		case xml.CharData:
			text.Write(token)
		case xml.EndElement:
			if _, known := fields[inner]; inner == token.Name.Local && !known {
				fields[inner] = strings.TrimSpace(text.String())
			}
			inner = ""
		}
	}
}
