package notify

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func hook(t *testing.T, url string, log io.Writer) *Hook {
	t.Helper()
	h, err := NewHook(HookOptions{URL: url, Key: "k", Timeout: time.Minute, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAnEventIsPostedOnceAndSigned(t *testing.T) {
	got := make(chan *http.Request, 2)
	bodies := make(chan []byte, 2)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r
		bodies <- body
	}))
	t.Cleanup(server.Close)
	h := hook(t, server.URL+"/s3cret", io.Discard)
	go h.Run(t.Context())
	h.Tell(Event{ID: "1", Event: EventOpened, Site: "huji", Issue: "nodedown/a", Text: "down"})
	r, body := <-got, <-bodies
	mac := hmac.New(sha256.New, []byte("k"))
	mac.Write(body)
	if r.Header.Get("X-Monitor-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)) || r.Header.Get("X-Monitor-Delivery") != "1" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", r.Header)
	}
	var e Event
	if err := json.Unmarshal(body, &e); err != nil || e.Event != EventOpened || e.Issue != "nodedown/a" || e.At.IsZero() {
		t.Errorf("got %s, %v", body, err)
	}
	h.Tell(Event{ID: "2"})
	if r := <-got; r.Header.Get("X-Monitor-Delivery") != "2" {
		t.Error("the first was posted twice")
	}
}

func TestOnlyWhatMayPassIsPostedAgain(t *testing.T) {
	for code, want := range map[int]int32{200: 1, 204: 1, 302: 1, 400: 1, 410: 1, 408: 2, 429: 2, 500: 2, 503: 2} {
		var posts atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if posts.Add(1) == 1 {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(code)
			}
		}))
		var log bytes.Buffer
		hook(t, server.URL, &log).deliver(t.Context(), Event{ID: "1"})
		if got := posts.Load(); got != want {
			t.Errorf("%d: %d posts, want %d", code, got, want)
		}
		server.Close()
	}
}

func TestAReceiverThatIsAwayBlocksNothingAndNoSecretIsLogged(t *testing.T) {
	var log bytes.Buffer
	h := hook(t, "http://127.0.0.1:1/s3cret", &log)
	told := make(chan struct{})
	go func() {
		for range kept + 5 {
			h.Tell(Event{ID: "1"})
		}
		close(told)
	}()
	select {
	case <-told:
	case <-time.After(time.Minute):
		t.Fatal("telling waits for the receiver")
	}
	if again, err := h.post(t.Context(), "1", nil); !again || err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, %v", again, err)
	}
	if text := log.String(); strings.Count(text, "an event is dropped") != 5 || strings.Contains(text, "s3cret") {
		t.Errorf("log %s", text)
	}
	(*Hook)(nil).Tell(Event{}) // no webhook
	if _, err := NewHook(HookOptions{URL: "s3cret://x"}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}
