package sources

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// read reads one source, and says what it told as node/name=value.
func read(t *testing.T, s Source) (map[string]any, Reading) {
	t.Helper()
	r := Read(t.Context(), []Source{s}, 10*time.Second, time.Hour)[0]
	out := map[string]any{}
	for _, f := range r.Facts {
		out[f.Node+"/"+f.Name] = f.Value
	}
	return out, r
}

func same(t *testing.T, got, want map[string]any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the facts are\n%v, want\n%v", got, want)
	}
}

// A table as CoMon's, over HTTP: numbers are numbers, short rows say less, and nothing hostile comes through.
func TestATableOverHTTP(t *testing.T) {
	table := "\"Name\", resptime, keyok, version\n" +
		"n1.example, 0.25, 1, 4.2.1\n" +
		"N2.example, , 0\n" +
		"n3.example, 7, null, \"a\x1b[31mb\x00\u202ec\"\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(table)) }))
	defer server.Close()
	source := Table{URL: server.URL, Node: "name", Columns: map[string]string{"delay": "RespTime", "keyok": "keyok", "version": "version"}}
	got, r := read(t, source)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	hostile, _ := got["n3.example/version"].(string)
	delete(got, "n3.example/version")
	if !strings.HasPrefix(hostile, "a") || strings.ContainsAny(hostile, "\x1b\x00\u202e") {
		t.Errorf("a hostile text is kept as %q", hostile)
	}
	same(t, got, map[string]any{"n1.example/delay": 0.25, "n1.example/keyok": 1.0, "n1.example/version": "4.2.1",
		"n2.example/keyok": 0.0, "n3.example/delay": 7.0, "n3.example/keyok": "null"})

	source.Columns["delay"] = "latency"
	if _, r := read(t, source); r.Err == nil || !strings.Contains(r.Err.Error(), `no column "latency"`) {
		t.Errorf("without the column it says %v", r.Err)
	}
}

// What is away, slow, huge or redirects is away, and says why, without the address.
func TestASourceThatIsAway(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	mux := http.NewServeMux()
	mux.HandleFunc("/500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken\x1b", 500) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		for range 18 {
			_, _ = w.Write([]byte(large))
		}
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/500", http.StatusFound) })
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, want := range map[string]string{"/500": "it answers 500: broken", "/large": "larger than 16 MiB",
		"/moved": "it answers 302", "/slow": "did not answer in time"} {
		r := Read(t.Context(), []Source{Table{URL: server.URL + path, Node: "name"}}, time.Second, time.Hour)[0]
		if r.Err == nil || !strings.Contains(r.Err.Error(), want) || strings.Contains(r.Err.Error(), server.URL) ||
			strings.Contains(r.Err.Error(), "\x1b") || len(r.Facts) > 0 {
			t.Errorf("%s: %d facts, %v", path, len(r.Facts), r.Err)
		}
	}
	server.Close()
	if _, r := read(t, Table{URL: server.URL, Node: "name"}); r.Err == nil || strings.Contains(r.Err.Error(), "http://") {
		t.Errorf("a server that is gone: %v", r.Err)
	}
}

// A command says lines of JSON. A line that cannot be read costs itself; what differs, is old or is of no form is left out
// and noted.
func TestACommandOfLines(t *testing.T) {
	script := `cat <<'END'
{"node": "n1.example", "facts": {"rack": "b4", "fans": 3, "spare": true, "nothing": null, "Bad": 1, "kernel": "forged", "list": [1]}}
no JSON
{"node": "n2.example.", "facts": {"rack": "b5"}}
{"node": "n2.example", "facts": {"rack": "b5"}}
{"node": "n3.example", "facts": {"rack": "b6"}}
{"node": "N3.example", "facts": {"rack": "b7", "fans": 2}}
{"node": "n4.example", "facts": {"rack": "b8"}, "time": "2001-01-01T00:00:00Z"}
{"node": "n5.example", "facts": {"rack": "b9"}, "time": "2901-01-01T00:00:00Z"}
END`
	got, r := read(t, Lines{Command: []string{"sh", "-c", script}})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	same(t, got, map[string]any{"n1.example/rack": "b4", "n1.example/fans": 3.0, "n1.example/spare": true,
		"n2.example/rack": "b5", "n3.example/fans": 2.0, "n5.example/rack": "b9"})
	for _, want := range []string{"1 of 8 lines", "line 2", "1 facts came twice and differ, as rack of n3.example",
		"4 facts are not of a form", "1 facts are older than 1h"} {
		if !strings.Contains(r.Note, want) {
			t.Errorf("the note lacks %q: %s", want, r.Note)
		}
	}
	for _, f := range r.Facts {
		if f.At.After(r.At) {
			t.Errorf("%s is of the future: %s", f.Node, f.At)
		}
	}
	if _, r := read(t, Lines{Command: []string{"sh", "-c", "echo why >&2; exit 3"}}); r.Err == nil ||
		!strings.Contains(r.Err.Error(), "why") {
		t.Errorf("a command that fails: %v", r.Err)
	}
	began := time.Now()
	slow := Read(t.Context(), []Source{Lines{Command: []string{"sh", "-c", "sleep 60 & sleep 60"}}}, 200*time.Millisecond, time.Hour)[0]
	if slow.Err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("a command that hangs took %s: %v", time.Since(began), slow.Err)
	}
}

func TestAFileOfLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "racks")
	if _, r := read(t, Lines{File: path}); !errors.Is(r.Err, os.ErrNotExist) {
		t.Errorf("no file: %v", r.Err)
	}
	if err := os.WriteFile(path, []byte(`{"node": "n1", "facts": {"rack": "b4"}}`+"\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _ := read(t, Lines{File: path})
	same(t, got, map[string]any{"n1/rack": "b4"})
}

type many struct{ names int }

func (many) Name() string { return "many" }

func (m many) Facts(context.Context) (facts []Fact, _ string, _ error) {
	for i := range m.names {
		facts = append(facts, Fact{Node: "n1", Name: fmt.Sprintf("f%03d", i), Value: strings.Repeat("x", 5000)})
	}
	return facts, "", nil
}

func TestNamesAndValuesAreBounded(t *testing.T) {
	got, r := read(t, many{names: 100})
	if len(got) != MostNames || !strings.Contains(r.Note, "80 facts") {
		t.Errorf("%d names are kept: %s", len(got), r.Note)
	}
	if text, _ := got["n1/f000"].(string); len(text) > longest || len(text) < longest/2 {
		t.Errorf("a value has %d bytes", len(text))
	}
}
