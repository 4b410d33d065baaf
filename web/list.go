package web

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/selection"
)

// How many rows a page of a list has: one that is looked at, and one to be printed or searched through.
const (
	rowsAPage    = 100
	rowsOnOne    = 2000
	allOnOnePage = "all" // as the page in the address
)

// list is a kind of rows as a page shows it.
type list[T any] struct {
	Kind    string // of selections, and the path
	Title   string
	About   string
	table   *selection.Table[T]
	brief   []string // the fields that are shown where nobody asks for others
	sort    []string // their order
	facets  []string // fields by which rows are counted above the list
	read    func(ctx context.Context, uses func(field string) bool) ([]T, error)
	link    func(field string, row *T) string // where a cell leads; empty: nowhere
	topics  []string
	more    func(row *T) rowMore
	buttons []button // orders that the visitor may give for rows
}

// rowMore is what a row has beside its cells.
type rowMore struct {
	Key string // by which a form names it; empty: it cannot be chosen
}

// listing is what the template draws.
type listing struct {
	Kind, Title, About string
	Columns            []column
	Rows               []rowView
	Total, From, To    int
	All                int
	Error              string
	Nothing            string
	Fields             []choice
	Facets             []facet
	Select             []string
	Sort               string
	Kept               []kept // the rest of the query, for the forms
	CSV, Prev, Next    string
	OnOne              string // all rows on one page; empty: they are, or are too many
	Plain              string // without any filter
	Choosable          bool
	Buttons            []button
	Back               string
	keys               []string // of all rows, over all pages
	Options            []option
}

type column struct {
	Name, About, URL string
	Sorted           string // ascending or descending
	Number           bool
}

type rowView struct {
	Cells []cell
	Key   string
	Name  string
}

type cell struct {
	Text  string
	URL   string
	Tone  string // of a state
	At    time.Time
	Words []string
	Right bool
	Long  bool // text that may be long
}

type choice struct {
	Name, About string
	On          bool
}

type facet struct {
	Field  string
	States bool // its values are states
	Parts  []facetPart
}

type facetPart struct {
	Value, URL string
	Count      int
	On         bool
}

type kept struct{ Name, Value string }

// option is a switch of a list that is no expression, as closed issues.
type option struct {
	Text, URL string
	On        bool
}

// asked is what the URL asks of a list.
type asked struct {
	request selection.Request
	fields  []string
	sort    []string
	page    int
	rows    int // that a page has
}

func askedOf(q url.Values) asked {
	used := func(name string) (values []string) {
		for _, v := range q[name] {
			if v = strings.TrimSpace(v); v != "" {
				values = append(values, v)
			}
		}
		return values
	}
	split := func(name string) (values []string) {
		for _, v := range used(name) {
			for part := range strings.SplitSeq(v, ",") {
				if part = strings.TrimSpace(part); part != "" {
					values = append(values, part)
				}
			}
		}
		return values
	}
	page, _ := strconv.Atoi(q.Get("page"))
	rows := rowsAPage
	if q.Get("page") == allOnOnePage {
		rows = rowsOnOne
	}
	return asked{
		request: selection.Request{Select: used("select"), In: used("in"), NotIn: used("not-in")},
		fields:  split("fields"), sort: split("sort"), page: max(page, 1), rows: rows,
	}
}

// show reads a list as the URL asks for it. A mistake in the URL is told above the list, which then is empty: nothing
// must look like everything.
func (l list[T]) show(s *Server, r *request) (view, error) {
	q := r.URL.Query()
	a := askedOf(q)
	v := listing{Kind: l.Kind, Title: l.Title, About: l.About, Select: a.request.Select, Sort: strings.Join(a.sort, ",")}
	out := view{Template: "list", Title: l.Title, Topics: l.topics}
	fields, order, set, err := l.compile(s, r, a)
	if err != nil {
		v.Error, out.Code = err.Error(), http.StatusBadRequest
		fields, order, _, err = l.compile(s, r, asked{page: 1, rows: rowsAPage})
		if err != nil {
			return out, err
		}
		set = nil
	}
	uses := func(field string) bool {
		named := func(f string) bool { return f == field || strings.HasPrefix(f, field+".") }
		return set != nil && set.Uses(field) || slices.ContainsFunc(fields, named) ||
			slices.ContainsFunc(order, func(k selection.SortKey) bool { return named(k.Field) })
	}
	all, err := l.read(r.Context(), uses)
	if err != nil {
		return out, err
	}
	var rows []*T
	switch {
	case set == nil:
	case a.request.Empty():
		rows = pointers(all)
	default:
		var picked []T
		picked, err = set.Pick(all)
		rows = pointers(picked)
		switch {
		case errors.Is(err, selection.ErrNothing):
			v.Nothing = "Nothing is selected."
		case err != nil:
			v.Error, out.Code = err.Error(), http.StatusBadRequest
		}
	}
	l.table.Sort(rows, order, r.now)
	v.All, v.Total = len(all), len(rows)
	if q.Get("format") == "csv" && v.Error == "" {
		out.Send = l.csv(rows, fields, r.now)
		return out, nil
	}
	v.Facets = l.count(all, q, r)
	l.page(&v, rows, fields, order, q, a, r)
	out.Data = v
	return out, nil
}

// pointers leads to rows without copying them: they are large, and shared with other visitors.
func pointers[T any](rows []T) []*T {
	list := make([]*T, len(rows))
	for i := range rows {
		list[i] = &rows[i]
	}
	return list
}

func (l list[T]) compile(s *Server, r *request, a asked) (fields []string, order []selection.SortKey,
	set *selection.Set[T], err error) {
	if fields, err = l.table.Named(a.fields); err != nil {
		return nil, nil, nil, fmt.Errorf("fields: %w", err)
	}
	if len(fields) == 0 {
		fields = l.brief
	}
	keys := a.sort
	if len(keys) == 0 {
		keys = l.sort
	}
	if order, err = l.table.Order(keys); err != nil {
		return nil, nil, nil, fmt.Errorf("sort: %w", err)
	}
	set, err = selection.NewSet(l.table, a.request, selection.Options{Now: r.now, Groups: s.Groups})
	if err != nil { // it names the flags of the command line
		err = errors.New(strings.TrimPrefix(err.Error(), "--"))
	}
	return fields, order, set, err
}

// with is the URL of the same list with some of its query changed.
func with(path string, q url.Values, change ...string) string {
	n := url.Values{}
	for k, v := range q {
		n[k] = slices.Clone(v)
	}
	n.Del("page")
	for i := 0; i+1 < len(change); i += 2 {
		n.Del(change[i])
		if change[i+1] != "" {
			n.Set(change[i], change[i+1])
		}
	}
	if len(n) == 0 {
		return path
	}
	return path + "?" + n.Encode()
}

func (l list[T]) page(v *listing, rows []*T, fields []string, order []selection.SortKey, q url.Values, a asked, r *request) {
	path := "/" + l.Kind
	for _, f := range fields {
		about, _ := l.table.Lookup(f)
		c := column{Name: f, About: about.About, URL: with(path, q, "sort", f),
			Number: about.Type == selection.Number || about.Type == selection.Duration}
		if len(order) > 0 && order[0].Field == f {
			c.Sorted = "ascending"
			c.URL = with(path, q, "sort", "-"+f)
			if order[0].Reverse {
				c.Sorted, c.URL = "descending", with(path, q, "sort", f)
			}
		}
		v.Columns = append(v.Columns, c)
	}
	for _, f := range l.table.Fields() {
		v.Fields = append(v.Fields, choice{f.Name, f.About, slices.Contains(fields, f.Name)})
	}
	pages := max((len(rows)+a.rows-1)/a.rows, 1)
	page := min(a.page, pages)
	v.From, v.To = (page-1)*a.rows, min(page*a.rows, len(rows))
	if len(l.buttons) > 0 && l.more != nil {
		for i := range rows {
			if key := l.more(rows[i]).Key; key != "" {
				v.keys = append(v.keys, key)
			}
		}
		v.Buttons, v.Back = l.buttons, r.URL.RequestURI()
	}
	for i := v.From; i < v.To; i++ {
		row := rowView{Name: l.table.Name(rows[i])}
		if len(v.Buttons) > 0 {
			row.Key = l.more(rows[i]).Key
		}
		v.Choosable = v.Choosable || row.Key != ""
		for _, f := range fields {
			row.Cells = append(row.Cells, l.cell(f, rows[i], r.now))
		}
		v.Rows = append(v.Rows, row)
	}
	if len(rows) > 0 {
		v.From++
	}
	if page > 1 {
		v.Prev = with(path, q, "page", strconv.Itoa(page-1))
	}
	if page < pages {
		v.Next = with(path, q, "page", strconv.Itoa(page+1))
	}
	if pages > 1 && len(rows) <= rowsOnOne {
		v.OnOne = with(path, q, "page", allOnOnePage)
	}
	v.CSV = with(path, q, "format", "csv")
	v.Plain = with(path, q, "select", "", "in", "", "not-in", "")
	for _, name := range slices.Sorted(keysOf(q)) {
		if slices.Contains([]string{"select", "fields", "page", "format"}, name) {
			continue
		}
		for _, value := range q[name] {
			v.Kept = append(v.Kept, kept{name, value})
		}
	}
}

func keysOf(q url.Values) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range q {
			if !yield(k) {
				return
			}
		}
	}
}

// cell draws one value. States are told by a sign and a colour, durations and times in few words.
func (l list[T]) cell(field string, row *T, now time.Time) cell {
	f, _ := l.table.Lookup(field)
	c := cell{Right: f.Type == selection.Number, Long: slices.Contains([]string{"why", "reason", "detail", "cause", "next", "outcome"}, field) && f.Values == nil}
	if l.link != nil {
		c.URL = l.link(field, row)
	}
	switch v := l.table.Cell(row, field, now).(type) {
	case nil:
	case string:
		c.Text = v
		if isState(field) {
			c.Tone = tone(v)
		}
	case bool:
		c.Text = map[bool]string{true: "yes", false: "no"}[v]
	case int:
		c.Text = strconv.Itoa(v)
	case time.Time:
		c.At = v
	case time.Duration:
		c.Text = span(v)
	case []string:
		c.Words = v
	default:
		c.Text = fmt.Sprint(v)
	}
	return c
}

func isState(field string) bool {
	return slices.Contains([]string{"status", "state", "site.status", "pcu.status", "outcome", "boot_state"}, field)
}

// count counts all rows by the fields that people filter by most, each count a link to those rows.
func (l list[T]) count(all []T, q url.Values, r *request) (facets []facet) {
	for _, field := range l.facets {
		by := map[string]int{}
		for i := range all {
			if v, is := l.table.Value(&all[i], field, r.now).(string); is {
				by[v]++
			}
		}
		f := facet{Field: field, States: isState(field)}
		for value, n := range by {
			expression := field + "=" + value
			on := slices.Contains(q["select"], expression)
			to := with("/"+l.Kind, q, "select", expression)
			if on {
				to = with("/"+l.Kind, q, "select", "")
			}
			f.Parts = append(f.Parts, facetPart{Value: value, Count: n, On: on, URL: to})
		}
		slices.SortFunc(f.Parts, func(a, b facetPart) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
		})
		if len(f.Parts) > 0 {
			facets = append(facets, f)
		}
	}
	return facets
}

// csv sends the rows as the command line prints them. A cell that a spreadsheet would take for a formula is marked as
// text (OWASP, CSV Injection).
func (l list[T]) csv(rows []*T, fields []string, now time.Time) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="`+l.Kind+`.csv"`)
		out := csv.NewWriter(w)
		_ = out.Write(fields)
		for i := range rows {
			line := make([]string, len(fields))
			for j, f := range fields {
				line[j] = plain(l.table.Cell(rows[i], f, now))
			}
			_ = out.Write(line)
		}
		out.Flush()
	}
}

func plain(v any) string {
	text := ""
	switch v := v.(type) {
	case nil:
		return ""
	case int:
		return strconv.Itoa(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case time.Duration:
		return strconv.FormatFloat(v.Seconds(), 'f', -1, 64)
	case []string:
		text = strings.Join(v, " ")
	default:
		text = fmt.Sprint(v)
	}
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		text = "'" + text
	}
	return text
}
