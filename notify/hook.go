package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// What a webhook is told of.
const (
	EventOpened  = "opened"
	EventPaused  = "paused"
	EventClosed  = "closed"
	EventFlagged = "flagged"
	EventPenalty = "penalty"
)

// Event is one thing that happened, as the webhook's JSON. ID is the same for every post of the same thing.
type Event struct {
	ID     string    `json:"id"`
	Event  string    `json:"event"`
	At     time.Time `json:"at"`
	Site   string    `json:"site"`
	Issue  string    `json:"issue,omitempty"`
	Type   string    `json:"type,omitempty"`
	Target string    `json:"target,omitempty"`
	Level  int       `json:"penalty_level"`
	Text   string    `json:"text"` // one line for people
}

// HookOptions say where events go.
type HookOptions struct {
	URL     string // a secret: it appears in no error and no log
	Key     string // signs each body; empty: unsigned
	Timeout time.Duration
	Log     *slog.Logger
	Client  *http.Client // nil: a plain one
}

// Hook posts events in the background. Telling it never blocks and never fails: the ledger is the record, a webhook is a
// courtesy. A nil Hook drops everything.
type Hook struct {
	o     HookOptions
	queue chan Event
}

// kept is how many events wait while the receiver is away; newer ones are dropped then.
const kept = 1000

// NewHook checks the options. Run posts what Tell takes.
func NewHook(o HookOptions) (*Hook, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("webhook: the URL must be http or https")
	}
	if o.Client == nil {
		o.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	return &Hook{o: o, queue: make(chan Event, kept)}, nil
}

// Tell queues an event.
func (h *Hook) Tell(e Event) {
	if h == nil {
		return
	}
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	select {
	case h.queue <- e:
	default:
		h.o.Log.Warn("the webhook is behind; an event is dropped", "event", e.Event, "id", e.ID)
	}
}

// Run posts events in their order until the context ends.
func (h *Hook) Run(ctx context.Context) {
	if h == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-h.queue:
			h.deliver(ctx, e)
		}
	}
}

// tries are the waits before each further try: about an hour together.
var tries = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute}

func (h *Hook) deliver(ctx context.Context, e Event) {
	body, err := json.Marshal(e)
	if err != nil {
		h.o.Log.Error("webhook", "event", e.Event, "error", err)
		return
	}
	for try := 0; ; try++ {
		again, err := h.post(ctx, e.ID, body)
		if err == nil {
			return
		}
		if !again || try == len(tries) {
			h.o.Log.Warn("the webhook did not take an event", "event", e.Event, "id", e.ID, "error", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tries[try]):
		}
	}
}

// post says whether a failed post may be tried again: no answer, too many requests and the server's own errors may.
func (h *Hook) post(ctx context.Context, id string, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.o.URL, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "PlanetLab Monitor")
	req.Header.Set("X-Monitor-Delivery", id)
	if h.o.Key != "" {
		mac := hmac.New(sha256.New, []byte(h.o.Key))
		mac.Write(body)
		req.Header.Set("X-Monitor-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := h.o.Client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text holds the URL
			err = u.Err
		}
		return true, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 300 {
		return false, nil
	}
	code := resp.StatusCode
	return code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout, fmt.Errorf("it answers %d", code)
}
