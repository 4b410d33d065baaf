package xmlrpc

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/planetlab/monitor/clean"
)

// many is a document of so many bytes of the same part.
func many(head, part string, size int) io.Reader {
	return io.MultiReader(strings.NewReader(head), strings.NewReader(strings.Repeat(part, size/len(part))))
}

func TestAnAnswerCostsNoMoreMemoryThanItShould(t *testing.T) {
	const size, most = 15 << 20, 120 << 20
	head := "<methodResponse><params><param><value>"
	for name, c := range map[string]struct{ head, part string }{
		"elements that nest without end": {"", "<x>"},
		"the same inside a value":        {head + "<string>", "<x>"},
		"arrays that nest without end":   {head, "<array><data><value>"},
		"a tag without end":              {"<methodResponse ", "a='' "},
		"a name without end":             {"<", "x"},
		"a comment without end":          {head + "<!--", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			from := many(c.head, c.part, size)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, err := ParseResponse(from)
			runtime.ReadMemStats(&after)
			if err == nil || len(err.Error()) > 200 {
				t.Errorf("it was read: %.200v", err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("it took %d MB", took>>20)
			}
		})
	}
}

func TestWhatIsNoValueIsRefused(t *testing.T) {
	for name, value := range map[string]string{
		"an element inside a string": "<string>a<b/>c</string>",
		"a type of no use":           "<" + strings.Repeat("t", 500) + "/>",
		"a boolean that is a novel":  "<boolean>" + strings.Repeat("true ", 500) + "</boolean>",
		"an integer that is none":    "<int>12 monkeys</int>",
		"a member without a value":   "<struct><member><name>a</name></member></struct>",
	} {
		v, err := ParseResponse(strings.NewReader("<methodResponse><params><param><value>" + value + "</value></param></params></methodResponse>"))
		if err == nil || len(err.Error()) > 200 {
			t.Errorf("%s: %v, %.300v", name, v, err)
		}
	}
}

func TestAFaultIsOneCleanLine(t *testing.T) {
	text := (&Fault{Code: 102, String: "no\x00such\x1b[2J\nnode " + strings.Repeat("x", 5000)}).Error()
	if !clean.Is(text, clean.MaxLine+20) || strings.Contains(text, "\n") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func FuzzParseResponse(f *testing.F) {
	for _, v := range []any{nil, true, 7, -1.5, "a<b>&c", []any{1, "x", nil}, map[string]any{"a": []int{1, 2}, "b": map[string]any{}}, &Fault{Code: 102, String: "no such node"}} {
		text, err := Response(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("<methodResponse><params><param><value>bare</value></param></params></methodResponse>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := ParseResponse(bytes.NewReader(text))
		if err != nil {
			if said := clean.Err(err).Error(); !clean.Is(said, clean.MaxLine) {
				t.Errorf("an error that is not clean: %q", said)
			}
			return
		}
		again, err := Response(v)
		if err != nil {
			return // as an int of more than 32 bits
		}
		if _, err := ParseResponse(bytes.NewReader(again)); err != nil {
			t.Errorf("what was read cannot be read again: %v\n%s", err, again)
		}
	})
}

func FuzzParseCall(f *testing.F) {
	text, err := Call("GetNodes", map[string]any{"AuthMethod": "password"}, []int{1}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		method, args, err := ParseCall(bytes.NewReader(text))
		if err == nil && len(method)+len(args) > len(text) {
			t.Errorf("more came out than went in: %q %d", method, len(args))
		}
	})
}
