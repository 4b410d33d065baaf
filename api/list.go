package api

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/selection"
)

// Listing is what all lists take.
type Listing struct {
	Filter string `query:"filter" maxLength:"65536" doc:"Only what this expression selects; docs/select.md describes it."`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"10000" doc:"At most so many."`
	Cursor string `query:"cursor" maxLength:"4096" doc:"Where the last page ended: its next."`
}

// page is a part of a list.
type page[T any] struct {
	Link string `header:"Link"`
	Body struct {
		Items []T    `json:"items" doc:"In an order that stays."`
		Next  string `json:"next,omitempty" doc:"The cursor of the next page; missing on the last one."`
	}
}

// table is a kind of rows: of which verb it is, which site a row is of, and what orders the rows.
type table[T any] struct {
	verb access.Verb
	rows *selection.Table[T]
	site func(*T) string
	key  func(*T) string // what comes later has the greater one
}

// pageOf takes a page out of all rows there are, without those that are not for this person.
func pageOf[T any](s *server, who access.Who, t table[T], in Listing, rows []T) (*page[T], error) {
	after, err := in.after(t.rows.Kind)
	if err != nil {
		return nil, err
	}
	set, err := compile(s, t.rows, in.Filter)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(row T) bool { return !access.Allowed(who, t.verb, t.site(&row)) })
	if rows, err = pick(set, rows); err != nil {
		return nil, err
	}
	return cut(t, in, t.next(rows, after, in.Limit+1), "")
}

// next are so many rows that come after a key, or first where there is none, in order. Rows are large, so that their keys
// are sorted.
func (t table[T]) next(rows []T, after string, limit int) []T {
	type keyed struct {
		key string
		row *T
	}
	var later []keyed
	for i := range rows {
		if k := t.key(&rows[i]); after == "" || k > after {
			later = append(later, keyed{k, &rows[i]})
		}
	}
	slices.SortStableFunc(later, func(x, y keyed) int { return cmp.Compare(x.key, y.key) })
	page := make([]T, min(len(later), limit))
	for i := range page {
		page[i] = *later[i].row
	}
	return page
}

// cut makes a page of the rows from where it begins. Where no more rows were read than fit on it, though there may be
// more, last is the key of the last one that was looked at.
func cut[T any](t table[T], in Listing, rows []T, last string) (*page[T], error) {
	p := &page[T]{}
	p.Body.Items = rows[:min(len(rows), in.Limit)]
	if len(rows) > in.Limit {
		last = t.key(&rows[in.Limit-1])
	}
	if last != "" {
		text, err := json.Marshal(where{After: last, List: in.list(t.rows.Kind)})
		if err != nil {
			return nil, err
		}
		p.Body.Next = base64.RawURLEncoding.EncodeToString(text)
		next := url.Values{"cursor": {p.Body.Next}, "limit": {strconv.Itoa(in.Limit)}}
		if in.Filter != "" {
			next.Set("filter", in.Filter)
		}
		p.Link = "<?" + next.Encode() + `>; rel="next"`
	}
	if p.Body.Items == nil {
		p.Body.Items = []T{}
	}
	return p, nil
}

// pick are the rows that a filter selects. To list nothing is no mistake, as to act on nothing would be.
func pick[T any](set *selection.Set[T], rows []T) ([]T, error) {
	picked, err := set.Pick(rows)
	switch {
	case errors.Is(err, selection.ErrNothing):
		return nil, nil
	case errors.Is(err, selection.ErrNoSuchName):
		return nil, problem(notFound, "filter: "+err.Error())
	case err != nil:
		return nil, problem(invalid, "filter: "+err.Error())
	}
	return picked, nil
}

// compile reads a filter.
func compile[T any](s *server, t *selection.Table[T], filter string) (*selection.Set[T], error) {
	var r selection.Request
	if filter != "" {
		r.Select = []string{filter}
	}
	made, err := selection.NewSet(t, r, selection.Options{Now: s.Now(), Groups: s.Groups})
	if err != nil {
		return nil, problem(invalid, "filter: "+strings.TrimPrefix(err.Error(), "--select "))
	}
	return made, nil
}

// where is what a cursor says: after which row, of which list.
type where struct {
	After string `json:"a"`
	List  uint64 `json:"l"`
}

// list tells lists apart, so that a cursor is not taken for one of another filter.
func (in Listing) list(kind string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s", kind, in.Filter)
	return h.Sum64()
}

func (in Listing) after(kind string) (string, error) {
	if in.Cursor == "" {
		return "", nil
	}
	var w where
	text, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	if err != nil || w.List != in.list(kind) {
		return "", problem(invalid, "cursor: it is none, or one of another list or filter: begin anew without one")
	}
	return w.After, nil
}
