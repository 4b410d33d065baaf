package web

import (
	"bufio"
	"html"
	"net"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/planetlab/monitor/listen"
)

// stream opens a stream of news, and gives its lines.
func (v *visitor) stream(base, path string) <-chan string {
	v.t.Helper()
	resp, err := (&http.Client{Jar: v.http.Jar}).Get(base + path)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatal(resp, err)
	}
	v.t.Cleanup(func() { resp.Body.Close() })
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

func heard(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatalf("the stream ended before %q", want)
			}
			if line == want {
				return
			}
		case <-late:
			t.Fatalf("%q was not told", want)
		}
	}
}

var streamOf = regexp.MustCompile(`hx-sse:connect="(/live[^"]*)"`)

// What happens after a page was drawn, and before its stream is open, is told when it is; and a stream lives longer than
// a request may.
func TestNothingIsMissedBetweenAPageAndItsStream(t *testing.T) {
	f := newFixture(t)
	v := f.as(t, anOperator)
	server := listen.Server(f.pages.Handler(), nil, f.pages.Log)
	server.ReadTimeout = 200 * time.Millisecond // the same server, with less patience
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(t, err)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	base := "http://" + l.Addr().String()
	told := func() string { return toldIn([]string{"ledger"}, f.pages.live.toldNow()) }
	for _, path := range []string{"/sites/tokyo", "/ledger"} { // one that is drawn for each, and one that is drawn for all
		_, body := v.get(path)
		m := streamOf.FindStringSubmatch(body)
		if m == nil {
			t.Fatalf("%s has no stream", path)
		}
		before := told()
		f.must(t, f.Note(t.Context(), noted("tokyo", "before the stream of "+path)))
		for deadline := time.Now().Add(20 * time.Second); told() == before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the change is not told at all")
			}
		}
		lines := v.stream(base, html.UnescapeString(m[1]))
		heard(t, lines, "event: changed")
		heard(t, lines, "data: all")
		time.Sleep(3 * server.ReadTimeout) // longer than a request may take to be read
		f.must(t, f.Note(t.Context(), noted("tokyo", "on the stream of "+path)))
		heard(t, lines, "data: ledger")
	}
}
