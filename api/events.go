package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
)

// Bounds of a stream of events.
const (
	streamFor    = 5 * time.Minute  // then the client comes again, and is asked again who it is
	beatEvery    = 15 * time.Second // so that proxies keep the connection, and ours notices one that is gone
	writeWithin  = 10 * time.Second
	mostCaughtUp = 10_000 // lines that are told to one who comes again
	mostStreams  = 20     // of one account
)

// LedgerEvent is what the stream tells: a line of the ledger that was written, went on or ended.
type LedgerEvent struct {
	Seq     int64            `json:"seq" doc:"The number of the line, which is also the id of the event."`
	Key     string           `json:"key"`
	Kind    store.ActionKind `json:"kind"`
	Issue   string           `json:"issue,omitempty"`
	Node    string           `json:"node,omitempty"`
	Site    string           `json:"site,omitempty"`
	Outcome string           `json:"outcome,omitempty" doc:"Empty while it is not known."`
	Reason  string           `json:"reason,omitempty"`
	At      time.Time        `json:"at"`
}

func eventOf(l store.Line) LedgerEvent {
	return LedgerEvent{Seq: l.ID, Key: l.Key, Kind: l.Kind, Issue: l.Issue, Node: l.Node, Site: l.Site, Outcome: l.Outcome,
		Reason: l.Reason, At: l.At.UTC()}
}

// events is the stream of what happens, as server-sent events (HTML, 9.2).
func (s *server) events(api huma.API) {
	r := route{method: http.MethodGet, path: "/events", id: "streamEvents", tag: "ledger", verb: access.SeeEvents,
		about: "Hear at once of what is done: server-sent events, one for each line of the ledger"}
	o := r.operation()
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[LedgerEvent](), true, "LedgerEvent")
	o.Description = "The id of an event is the number of its line. Who comes again with `Last-Event-ID` is told what he " +
		"missed; a line may be told twice. `event: reset` says that too much was missed: read anew. The stream ends after " +
		"some minutes, and the client comes again."
	o.Responses = map[string]*huma.Response{"200": {
		Description: "The `data` of each event is such an object.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: schema}},
	}}
	open := &streams{byAccount: map[string]int{}}
	huma.Register(api, o, func(ctx context.Context, in *struct {
		Last string `header:"Last-Event-ID" maxLength:"20" doc:"The id of the last event that was heard."`
	}) (*huma.StreamResponse, error) {
		who := whoOf(ctx)
		if err := mayAtAll(who, r.verb); err != nil {
			return nil, problemOf(err)
		}
		last, err := strconv.ParseInt(in.Last, 10, 64)
		if in.Last != "" && (err != nil || last < 0) {
			return nil, problem(invalid, "Last-Event-ID is the number of a line")
		}
		if s.News == nil {
			return nil, problem(silent, "there are no news here")
		}
		done, may := open.take(who.Account)
		if !may {
			return nil, problem(tooMany, fmt.Sprintf("an account may have %d streams open", mostStreams))
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer done()
			_, w := humago.Unwrap(hc)
			t := &stream{w: w, control: http.NewResponseController(w), who: who, last: last}
			if err := s.stream(hc.Context(), t, in.Last != ""); err != nil && hc.Context().Err() == nil {
				s.Log.DebugContext(hc.Context(), "a stream of events ended", "error", err)
			}
		}}, nil
	})
}

// stream tells one client.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	who     access.Who
	last    int64 // the greatest number that was told
}

func (s *server) stream(ctx context.Context, t *stream, again bool) error {
	ctx, cancel := context.WithTimeout(ctx, streamFor)
	defer cancel()
	lines, stop := s.News.Subscribe() // before what was missed is read, so that nothing falls between
	defer stop()
	t.w.Header().Set("Content-Type", "text/event-stream")
	if err := t.control.SetReadDeadline(time.Time{}); err != nil { // that of the request would end the stream
		return err
	}
	if err := t.write("retry: 2000\n\n"); err != nil {
		return err
	}
	if again {
		missed, more, err := s.Store.LinesSince(ctx, t.last, mostCaughtUp)
		if err != nil {
			return err
		}
		if more {
			if err := t.write("event: reset\ndata: {}\n\n"); err != nil {
				return err
			}
			missed = nil
		}
		if err := t.tell(missed...); err != nil {
			return err
		}
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case l, open := <-lines:
			if !open { // it comes again, and is told what it missed
				return nil
			}
			if err := t.tell(l); err != nil {
				return err
			}
		case <-beat.C:
			if err := t.write(": \n\n"); err != nil {
				return err
			}
		}
	}
}

// tell writes the lines that this client may know of.
func (t *stream) tell(lines ...store.Line) error {
	for _, l := range lines {
		t.last = max(t.last, l.ID)
		if !access.Allowed(t.who, access.SeeEvents, l.Site) {
			continue
		}
		data, err := json.Marshal(eventOf(l))
		if err != nil {
			return err
		}
		if err := t.write(fmt.Sprintf("id: %d\nevent: ledger\ndata: %s\n\n", t.last, data)); err != nil {
			return err
		}
	}
	return nil
}

func (t *stream) write(text string) error {
	if err := t.control.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	if _, err := io.WriteString(t.w, text); err != nil {
		return err
	}
	return t.control.Flush()
}

// streams counts the streams that each account has open.
type streams struct {
	mu        sync.Mutex
	byAccount map[string]int
}

func (s *streams) take(account string) (done func(), may bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byAccount[account] >= mostStreams {
		return nil, false
	}
	s.byAccount[account]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.byAccount[account]--; s.byAccount[account] == 0 {
			delete(s.byAccount, account)
		}
	}, true
}
