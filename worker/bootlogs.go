package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/store"
)

// Bounds of pushed logs. A BootManager sends one when it has given up, and then waits for people.
const (
	betweenPushes = time.Minute
	pushesAtOnce  = 4
	formOverhead  = 64 << 10 // what a form has around its log
)

// bootLogs takes the logs that BootManagers send by themselves, so that a node tells why also where ssh does not reach
// it. The address is all that speaks for the sender: a log is kept for people to read, and nothing acts on it.
type bootLogs struct {
	store   *store.Store
	namer   *bootman.Namer
	proxied bool
	now     func() time.Time
	log     *slog.Logger
	slots   chan struct{}

	mu   sync.Mutex
	last map[string]time.Time // when each node last sent one
}

// receiveBootLogs serves POST /upload-bmlog.
func receiveBootLogs(mux *http.ServeMux, db *store.Store, proxied bool, log *slog.Logger) error {
	namer, err := bootman.NewNamer()
	if err != nil {
		return err
	}
	mux.Handle("POST /upload-bmlog", &bootLogs{store: db, namer: namer, proxied: proxied, now: time.Now, log: log,
		slots: make(chan struct{}, pushesAtOnce), last: map[string]time.Time{}})
	return nil
}

func (b *bootLogs) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	default:
		tryAgain(w, http.StatusServiceUnavailable, "other nodes are sending theirs; try again")
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), time.Minute)
	defer cancel()
	node, err := b.sender(ctx, req)
	switch {
	case errors.Is(err, store.ErrNotFound):
		http.Error(w, "no node has your address", http.StatusForbidden)
		return
	case err != nil:
		b.fail(w, "", err)
		return
	}
	if !b.mayPush(node) {
		tryAgain(w, http.StatusTooManyRequests, "one log a minute is enough")
		return
	}
	text, err := readPush(w, req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	l := store.BootLog{Node: node, At: b.now(), Pushed: true, Cut: len(text) > bootman.MaxOutput,
		Log: bootman.Redact(text[:min(len(text), bootman.MaxOutput)])}
	l.Sequence = b.namer.Sequence(l.Log)
	if err := b.store.SaveBootLog(ctx, l); err != nil {
		b.fail(w, node, err)
		return
	}
	b.log.Info("a node sent its boot log", "node", node, "sequence", l.Sequence)
	w.WriteHeader(http.StatusNoContent)
}

func tryAgain(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Retry-After", "60")
	http.Error(w, why, code)
}

func (b *bootLogs) fail(w http.ResponseWriter, node string, err error) {
	b.log.Warn("a pushed boot log was not kept", "node", node, "error", err)
	tryAgain(w, http.StatusServiceUnavailable, "Monitor cannot keep it now; try again")
}

// sender is the node whose address the request comes from.
func (b *bootLogs) sender(ctx context.Context, req *http.Request) (string, error) {
	ip, err := netip.ParseAddr(api.Address(req, b.proxied))
	if err != nil {
		return "", store.ErrNotFound
	}
	return b.store.NodeAt(ctx, ip.Unmap().WithZone("").String())
}

// mayPush lets each node send one log a minute. There are no more entries than nodes.
func (b *bootLogs) mayPush(node string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if last, has := b.last[node]; has && now.Sub(last) < betweenPushes {
		return false
	}
	b.last[node] = now
	return true
}

// readPush reads a log and a byte more than is kept of it: the body as it is, or the field log of a form, as
// BootManagers send it.
func readPush(w http.ResponseWriter, req *http.Request) ([]byte, error) {
	const most = bootman.MaxOutput + 1
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	var from io.Reader = req.Body
	if kind == "multipart/form-data" {
		req.Body = http.MaxBytesReader(w, req.Body, most+formOverhead)
		form, err := req.MultipartReader()
		if err != nil {
			return nil, errors.New("the form cannot be read")
		}
		for {
			part, err := form.NextPart()
			if err != nil {
				return nil, errors.New("the form has no field log")
			}
			if part.FormName() == "log" {
				from = part
				break
			}
		}
	}
	text, err := io.ReadAll(io.LimitReader(from, most))
	var long *http.MaxBytesError
	if errors.As(err, &long) { // it was cut within the log
		err = nil
	}
	switch {
	case err != nil:
		return nil, errors.New("the log was cut off on its way")
	case len(text) == 0:
		return nil, errors.New("the log is empty")
	}
	return text, nil
}
