// Package xmlrpc reads and writes XML-RPC as PLCAPI speaks it: with nil, without dates. It is ours because the kept Go
// libraries know no nil and write booleans and chunked bodies that PLCAPI refuses.
package xmlrpc

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/clean"
)

// Fault is an error that the server answered.
type Fault struct {
	Code   int
	String string
}

func (f *Fault) Error() string { return fmt.Sprintf("fault %d: %s", f.Code, clean.Line(f.String)) }

// Bounds of what is read. A server far away, or somebody in its place, may send anything.
const (
	maxDepth    = 64       // of values inside of values
	maxNesting  = 256      // of elements: a value in an array or a struct is three deeper
	maxElements = 20 << 20 // 100,000 nodes of twelve fields are five million
	maxTag      = 1 << 10  // bytes; XML-RPC has no attributes
)

// reader hands out the tokens of a document within the bounds. The decoder keeps 100 bytes for each element that is
// open, so that without them 15 MB of <x> would take half a gigabyte.
type reader struct {
	d               *xml.Decoder
	depth, elements int
}

func read(from io.Reader) *reader { return &reader{d: xml.NewDecoder(&shortTags{from: from})} }

var errBeyond = errors.New("it is larger than any answer can be")

// Token is the next one.
func (r *reader) Token() (xml.Token, error) {
	t, err := r.d.Token()
	switch t.(type) {
	case xml.StartElement:
		r.depth++
		r.elements++
	case xml.EndElement:
		r.depth--
	}
	if r.depth > maxNesting || r.elements > maxElements {
		return nil, errBeyond
	}
	return t, err
}

// text is that of an element up to and with its end.
func (r *reader) text(name string) (string, error) {
	var text strings.Builder
	for {
		t, err := r.Token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			return "", fmt.Errorf("%s holds %.40q", name, t.Name.Local)
		case xml.EndElement:
			return text.String(), nil
		}
	}
}

// shortTags fails on a tag that has no end for long.
type shortTags struct {
	from   io.Reader
	inside int // bytes since the tag began; 0: none has
}

// Read reads on.
func (s *shortTags) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	for _, c := range b[:n] {
		switch {
		case c == '<' && s.inside == 0:
			s.inside = 1
		case c == '>':
			s.inside = 0
		case s.inside > 0:
			s.inside++
		}
		if s.inside > maxTag {
			return 0, errBeyond
		}
	}
	return n, err
}

// Call encodes a method call. Arguments are nil, bool, int, int64, float64, string, []any, []int, []string and
// map[string]any.
func Call(method string, args ...any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<methodCall><methodName>")
	_ = xml.EscapeText(&b, []byte(method))
	b.WriteString("</methodName><params>")
	for _, a := range args {
		b.WriteString("<param>")
		if err := value(&b, a); err != nil {
			return nil, err
		}
		b.WriteString("</param>")
	}
	b.WriteString("</params></methodCall>")
	return b.Bytes(), nil
}

// Response encodes a method's answer, or a *Fault.
func Response(v any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("<?xml version='1.0'?>\n<methodResponse>")
	if f, ok := v.(*Fault); ok {
		b.WriteString("<fault>")
		if err := value(&b, map[string]any{"faultCode": f.Code, "faultString": f.String}); err != nil {
			return nil, err
		}
		b.WriteString("</fault>")
	} else {
		b.WriteString("<params><param>")
		if err := value(&b, v); err != nil {
			return nil, err
		}
		b.WriteString("</param></params>")
	}
	b.WriteString("</methodResponse>")
	return b.Bytes(), nil
}

func value(b *bytes.Buffer, v any) error {
	b.WriteString("<value>")
	switch v := v.(type) {
	case nil:
		b.WriteString("<nil/>")
	case bool:
		b.WriteString("<boolean>" + map[bool]string{true: "1", false: "0"}[v] + "</boolean>")
	case int:
		if v != int(int32(v)) {
			return fmt.Errorf("xml-rpc: int %d does not fit 32 bits", v)
		}
		fmt.Fprintf(b, "<int>%d</int>", v)
	case int64:
		return value(undo(b), int(v))
	case float64:
		fmt.Fprintf(b, "<double>%s</double>", strconv.FormatFloat(v, 'f', -1, 64))
	case string:
		b.WriteString("<string>")
		_ = xml.EscapeText(b, []byte(v))
		b.WriteString("</string>")
	case []int:
		return value(undo(b), anys(v))
	case []string:
		return value(undo(b), anys(v))
	case []map[string]any:
		return value(undo(b), anys(v))
	case []any:
		b.WriteString("<array><data>")
		for _, e := range v {
			if err := value(b, e); err != nil {
				return err
			}
		}
		b.WriteString("</data></array>")
	case map[string]any:
		b.WriteString("<struct>")
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			b.WriteString("<member><name>")
			_ = xml.EscapeText(b, []byte(k))
			b.WriteString("</name>")
			if err := value(b, v[k]); err != nil {
				return err
			}
			b.WriteString("</member>")
		}
		b.WriteString("</struct>")
	default:
		return fmt.Errorf("xml-rpc: cannot send a %T", v)
	}
	b.WriteString("</value>")
	return nil
}

// undo takes back the opening tag that the converted value will write itself.
func undo(b *bytes.Buffer) *bytes.Buffer {
	b.Truncate(b.Len() - len("<value>"))
	return b
}

func anys[T any](in []T) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = v
	}
	return out
}

// ErrNotXMLRPC says that a body was something else, as an HTML page.
var ErrNotXMLRPC = errors.New("the answer is not XML-RPC")

// ParseResponse reads an answer. A fault comes back as a *Fault error.
func ParseResponse(r io.Reader) (any, error) {
	d := read(r)
	root, err := start(d)
	if err != nil || root.Name.Local != "methodResponse" {
		return nil, ErrNotXMLRPC
	}
	kind, err := start(d)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotXMLRPC, err)
	}
	v, err := firstValue(d)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotXMLRPC, err)
	}
	if kind.Name.Local == "fault" {
		m, _ := v.(map[string]any)
		code, _ := m["faultCode"].(int)
		text, _ := m["faultString"].(string)
		return nil, &Fault{Code: code, String: text}
	}
	return v, nil
}

// ParseCall reads a method call.
func ParseCall(r io.Reader) (method string, args []any, err error) {
	d := read(r)
	root, err := start(d)
	if err != nil || root.Name.Local != "methodCall" {
		return "", nil, ErrNotXMLRPC
	}
	for {
		t, err := d.Token()
		if err == io.EOF {
			return method, args, nil
		} else if err != nil {
			return "", nil, err
		}
		s, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		switch s.Name.Local {
		case "methodName":
			if method, err = d.text("methodName"); err != nil {
				return "", nil, err
			}
		case "value":
			v, err := parse(d, 0)
			if err != nil {
				return "", nil, err
			}
			args = append(args, v)
		}
	}
}

func start(d *reader) (xml.StartElement, error) {
	for {
		t, err := d.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		if s, ok := t.(xml.StartElement); ok {
			return s, nil
		}
	}
}

func firstValue(d *reader) (any, error) {
	for {
		s, err := start(d)
		if err != nil {
			return nil, err
		}
		if s.Name.Local == "value" {
			return parse(d, 0)
		}
	}
}

// parse reads the inside of a <value> up to and with its end.
func parse(d *reader, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("values nest too deep")
	}
	var text strings.Builder
	var out any
	typed := false
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if !typed {
				return text.String(), nil
			}
			return out, nil
		case xml.StartElement:
			typed = true
			if out, err = typedValue(d, t, depth); err != nil {
				return nil, err
			}
		}
	}
}

func typedValue(d *reader, t xml.StartElement, depth int) (any, error) {
	switch t.Name.Local {
	case "array":
		list := []any{}
		err := each(d, "array", "value", func() error {
			v, err := parse(d, depth+1)
			list = append(list, v)
			return err
		})
		return list, err
	case "struct":
		m := map[string]any{}
		err := each(d, "struct", "member", func() error {
			if _, err := start(d); err != nil {
				return err
			}
			name, err := d.text("name")
			if err != nil {
				return err
			}
			if _, err := start(d); err != nil {
				return err
			}
			m[name], err = parse(d, depth+1)
			return err
		})
		return m, err
	}
	s, err := d.text(t.Name.Local)
	if err != nil {
		return nil, err
	}
	switch t.Name.Local {
	case "nil":
		return nil, nil
	case "int", "i4", "i8":
		return strconv.Atoi(strings.TrimSpace(s))
	case "boolean":
		switch strings.TrimSpace(s) {
		case "1":
			return true, nil
		case "0":
			return false, nil
		}
		return nil, fmt.Errorf("boolean %.40q is neither 1 nor 0", s)
	case "double":
		return strconv.ParseFloat(strings.TrimSpace(s), 64)
	case "string":
		return s, nil
	}
	return nil, fmt.Errorf("values of type %.40q are not understood", t.Name.Local)
}

// each calls f at every start of an element named item, until the end of outer.
func each(d *reader, outer, item string, f func() error) error {
	for {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if t.Name.Local == item {
				if err := f(); err != nil {
					return err
				}
			}
		case xml.EndElement:
			if t.Name.Local == outer {
				return nil
			}
		}
	}
}
