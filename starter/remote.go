package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/version"
)

// apiPrefix is where a server has its API.
const apiPrefix = "/api/v1"

// mostAnswered is above any answer.
const mostAnswered = 256 << 20

// apiServer is Monitor as its API shows it.
type apiServer struct {
	signIn
	http *http.Client
}

func newRemote(s signIn) *apiServer {
	return &apiServer{s, &http.Client{
		// a token goes to the server that was named, and nowhere else
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// refusal is a problem that a server answered (RFC 9457).
type refusal struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
}

func (p refusal) Error() string {
	text := p.Detail
	for _, e := range p.Errors {
		text += "; " + strings.TrimPrefix(e.Location, "body.") + ": " + e.Message
	}
	return text
}

// kind is what the refusal is to the command line.
func (p refusal) kind() error {
	err := error(p)
	switch p.Status {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: sign in with `monitor login`", err)
	case http.StatusForbidden:
		return &orders.Error{Kind: orders.Forbidden, Err: err}
	case http.StatusNotFound:
		return &orders.Error{Kind: orders.NotFound, Err: err}
	case http.StatusConflict, http.StatusPreconditionFailed:
		return &orders.Error{Kind: orders.Refused, Err: err}
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		if strings.HasPrefix(p.Detail, orders.ErrNoReason.Error()) {
			return &orders.Error{Kind: orders.Invalid, Err: fmt.Errorf("%w%s", orders.ErrNoReason,
				strings.TrimPrefix(p.Detail, orders.ErrNoReason.Error()))}
		}
		return &orders.Error{Kind: orders.Invalid, Err: err}
	case http.StatusServiceUnavailable:
		return &orders.Error{Kind: orders.Silent, Err: err}
	}
	return err
}

func (r *apiServer) get(ctx context.Context, path string, query url.Values, answer any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return r.send(ctx, http.MethodGet, path, nil, answer)
}

// send asks the server. A key names an order that is given once, however often it is sent.
func (r *apiServer) send(ctx context.Context, method, path string, body, answer any, key ...string) error {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.Server+apiPrefix+path, text)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.Token)
	req.Header.Set("User-Agent", "monitor "+strings.Fields(version.String())[0])
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, k := range key {
		req.Header.Set("Idempotency-Key", k)
	}
	got, err := r.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %w: %w", r.Server, errUnanswered, errors.Unwrap(err)) // without the address, which repeats it
	}
	defer got.Body.Close()
	b, err := io.ReadAll(io.LimitReader(got.Body, mostAnswered))
	if err != nil {
		return fmt.Errorf("%s: %w", r.Server, err)
	}
	if got.StatusCode >= 300 {
		var p refusal
		if json.Unmarshal(b, &p) != nil || p.Detail == "" {
			return fmt.Errorf("%s answers %s: is it a server of Monitor?", r.Server, got.Status)
		}
		return p.kind()
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%s answers something unexpected: %w", r.Server, err)
	}
	return nil
}

// errUnanswered says that an answer did not come: what was ordered may have been done.
var errUnanswered = errors.New("does not answer")

// postOnce gives an order under a key of its own, and again where the answer is lost: it is given once.
func (r *apiServer) postOnce(ctx context.Context, path string, o orders.Order, more map[string]any, answer any) error {
	key, err := rand.Text(), error(nil)
	for range 3 {
		err = r.send(ctx, http.MethodPost, path, orderBody(o, more), answer, key)
		if !errors.Is(err, errUnanswered) && orders.KindOf(err) != orders.Silent {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
	return err
}

// rowsOf reads all pages of a list, or as many rows as are asked for; most 0 is all.
func rowsOf[T any](ctx context.Context, r *apiServer, path string, query url.Values, most int) (rows []T, err error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", "10000")
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := r.get(ctx, path, query, &page); err != nil {
			return nil, err
		}
		rows = append(rows, page.Items...)
		if most > 0 && len(rows) >= most {
			return rows[:most], nil
		}
		if page.Next == "" {
			return rows, nil
		}
		query.Set("cursor", page.Next)
	}
}

// remoteNodes reads nodes as NodeRows does.
func (r *apiServer) remoteNodes(ctx context.Context, details bool, at time.Time) ([]selection.Node, error) {
	query := url.Values{"details": {strconv.FormatBool(details)}}
	if !at.IsZero() {
		query.Set("at", at.UTC().Format(time.RFC3339Nano))
	}
	return rowsOf[selection.Node](ctx, r, "/nodes", query, 0)
}

// orderBody is what every order says, and more.
func orderBody(o orders.Order, more map[string]any) map[string]any {
	body := map[string]any{"reason": o.Reason, "by": o.Who.Name}
	for name, v := range more {
		if at, is := v.(time.Time); is {
			if at.IsZero() {
				continue
			}
			v = at.UTC()
		}
		body[name] = v
	}
	return body
}

// post gives an order.
func (r *apiServer) post(ctx context.Context, path string, o orders.Order, more map[string]any, answer any) error {
	return r.send(ctx, http.MethodPost, path, orderBody(o, more), answer)
}

// silenced is what an order to leave something alone answers.
type silenced struct {
	orders.Receipt
	Silence store.BlacklistEntry `json:"silence"`
}

// pathOf escapes the parts of a path.
func pathOf(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

// issuePath is that of an issue, whose id has a slash of its own.
func issuePath(id string, order ...string) string {
	typ, target, _ := strings.Cut(id, "/")
	return pathOf(append([]string{"issues", typ, target}, order...)...)
}
