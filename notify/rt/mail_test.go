package rt_test

import (
	"encoding/json"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
)

// TestARealTrackerMailsAMessageAsItWasWritten: what the watchers of a ticket get, as text and as HTML, has each line of ours
// and none that was made a quote.
func TestARealTrackerMailsAMessageAsItWasWritten(t *testing.T) {
	x := debianRT(t)
	facts, err := os.ReadFile("../testdata/mixed.json")
	if err != nil {
		t.Fatal(err)
	}
	var n notify.Notice
	if err := json.Unmarshal(facts, &n); err != nil {
		t.Fatal(err)
	}
	m, err := notify.Render(n)
	if err != nil {
		t.Fatal(err)
	}
	_, said, err := x.client(t, nil).Open(t.Context(), rt.Opening{Reference: "monitor:princeton", Key: "k", Subject: m.Subject,
		Text: m.Text, Cc: []string{"tech@princeton.example"}})
	if err != nil || !said {
		t.Fatalf("said %v, %v", said, err)
	}
	parts := mailed(t, x.dir, "tech@princeton.example")
	if parts["text/plain"] == "" || parts["text/html"] == "" {
		t.Fatalf("the mail has the parts %q", parts)
	}
	page := html.UnescapeString(parts["text/html"])
	has := map[string]bool{}
	for l := range strings.Lines(parts["text/plain"]) {
		if l = strings.TrimRight(l, " \r\n"); strings.HasPrefix(l, ">") {
			t.Errorf("a line was made a quote: %s", l)
		}
		has[l] = true
	}
	for l := range strings.Lines(m.Text) {
		if l = strings.TrimSpace(l); l != "" && (!has[l] || !strings.Contains(page, l)) {
			t.Errorf("the line %q is in the text: %v, on the page: %v", l, has[l], strings.Contains(page, l))
		}
	}
}

// mailed reads the parts of the mail to somebody among those that RT has written to its folder.
func mailed(t *testing.T, dir, to string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		_, raw, found := strings.Cut(string(text), "\nto: \n\n") // before it stands how it would be sent
		if err != nil || !found || !strings.Contains(raw, to) {
			continue
		}
		m, err := mail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string]string{}
		for r := multipart.NewReader(m.Body, params["boundary"]); ; {
			p, err := r.NextPart()
			if err != nil {
				return parts
			}
			body, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			kind, _, _ := strings.Cut(p.Header.Get("Content-Type"), ";")
			parts[kind] = string(body)
		}
	}
	t.Fatalf("no mail to %s in %s", to, dir)
	return nil
}
