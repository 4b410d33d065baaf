package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// listing is what all commands that list rows share: which rows, which fields of them, in which order, and how often.
type listing struct {
	request    selection.Request
	explain    string
	listFields bool
	fields     []string
	repeated
}

const selectHelp = `--select takes site=princeton,state!=boot, names and globs (planetlab1,*.mit.edu), groups of the configuration (@east),
files of names (file:hosts.txt), and CEL; docs/select.md describes it. Given more than once, any of them selects. --in and
--not-in take the same: a row must be in each of the one and in none of the other. --hosts FILE is a --select of the names
in a file, or on the standard input with -. What selects nothing is an error, and so is a name that is nobody's.`

func (l *listing) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	addSelection(cmd, &l.request, "rows")
	f.StringVar(&l.explain, "explain-select", "", "say why the row of this `name` is selected or not")
	f.BoolVar(&l.listFields, "list-fields", false, "list the fields that --select, --fields and --sort know")
	f.StringSliceVar(&l.fields, "fields", nil, "print these `fields`, separated by commas")
	l.repeated.addFlags(cmd)
}

// source is a kind of rows: its fields, those that are printed where nobody asks for others, and how they are read.
type source[T any] struct {
	table *selection.Table[T]
	brief []string
	wide  []string // beside the brief ones
	read  func(ctx context.Context, db *store.Store, uses func(field string) bool) ([]T, store.Unreadable, error)
	keep  func(row *T) bool            // the command's own filter; nil: all
	kept  func(rows int)               // is told how many rows are printed; nil: nobody asks
	own   func(rows []T) (any, func()) // the command's own JSON and table; nil: records
	site  string                       // it must be known; empty: none is asked for
	over  func(ctx context.Context, r *apiServer, uses func(field string) bool) ([]T, error)
	most  int       // print at most so many; 0: all
	now   time.Time // of which the rows are; zero: of now
}

// at is the time at which ages are told.
func (s source[T]) at(a *app) time.Time {
	if s.now.IsZero() {
		return a.now()
	}
	return s.now
}

// list runs a command that lists rows.
func list[T any](ctx context.Context, a *app, l *listing, s source[T]) error {
	if l.listFields {
		return a.printFields(s.table.Fields())
	}
	fields, err := s.table.Named(l.fields)
	if err != nil {
		return badInput("--fields: %w", err)
	}
	if len(fields) == 0 {
		if fields = s.brief; a.format != formatTable {
			fields = slices.Concat(s.brief, s.wide)
		}
	}
	order, err := s.table.Order(l.sort)
	if err != nil {
		return badInput("--sort: %w", err)
	}
	opts, err := a.selectOptions()
	if err != nil {
		return err
	}
	once := func() error {
		opts.Now = s.at(a)
		set, err := selection.NewSet(s.table, l.request, opts)
		if err != nil {
			return badInput("%w", err)
		}
		uses := func(field string) bool {
			named := func(f string) bool { return f == field || strings.HasPrefix(f, field+".") }
			return set.Uses(field) || slices.ContainsFunc(fields, named) || l.explain != "" ||
				slices.ContainsFunc(order, func(k selection.SortKey) bool { return named(k.Field) })
		}
		print := func(rows []T) error {
			if l.explain != "" {
				return explainRow(a, set, s.table, rows, l.explain)
			}
			rows, err := pick(set, rows)
			if err != nil {
				return err
			}
			return printRows(a, l, s, rows, fields, order)
		}
		if done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
			if s.site != "" {
				if err := r.get(ctx, pathOf("sites", s.site), nil, &answers.Site{}); err != nil {
					return err
				}
			}
			rows, err := s.over(ctx, r, uses)
			if err != nil {
				return err
			}
			return print(rows)
		}); done {
			return err
		}
		return a.withStore(ctx, func(ctx context.Context, db *store.Store) error {
			if err := knownSite(ctx, db, s.site); err != nil {
				return err
			}
			rows, bad, err := s.read(ctx, db, uses)
			if err != nil {
				return err
			}
			for _, row := range bad {
				a.warn("left out, since it cannot be read: %s", row)
			}
			return print(rows)
		})
	}
	return l.repeat(ctx, a, once)
}

// pick is what a selection picks, with the exit codes of its errors.
func pick[T any](set *selection.Set[T], rows []T) ([]T, error) {
	picked, err := set.Pick(rows)
	switch {
	case errors.Is(err, selection.ErrNothing), errors.Is(err, selection.ErrNoSuchName):
		return nil, notFound("%w", err)
	case err != nil:
		return nil, badInput("%w", err)
	}
	return picked, nil
}

func printRows[T any](
	a *app,
	l *listing,
	s source[T],
	rows []T,
	fields []string,
	order []selection.SortKey,
) error {
	if s.keep != nil {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r T) bool { return !s.keep(&r) })
	}
	if len(order) > 0 {
		byRef := make([]*T, len(rows))
		for i := range rows {
			byRef[i] = &rows[i]
		}
		s.table.Sort(byRef, order, s.at(a))
		sorted := make([]T, len(rows))
		for i, r := range byRef {
			sorted[i] = *r
		}
		rows = sorted
	}
	if s.most > 0 && len(rows) >= s.most {
		a.warn("only the first %d are shown: see --limit", s.most)
		rows = rows[:s.most]
	}
	if s.kept != nil {
		s.kept(len(rows))
	}
	switch {
	case a.format == formatName:
		for i := range rows {
			a.say("%s", clean(s.table.Name(&rows[i])))
		}
		return nil
	case s.own != nil && len(l.fields) == 0 && !a.listFormat() && a.format != formatWide:
		v, draw := s.own(rows)
		return a.show(v, draw)
	}
	records := make([]record, 0, len(rows))
	for i := range rows {
		var r record
		for _, f := range fields {
			r = append(r, cell{f, s.table.Cell(&rows[i], f, s.at(a))})
		}
		records = append(records, r)
	}
	return a.printRecords("no "+s.table.Kind, fields, records)
}

func explainRow[T any](a *app, set *selection.Set[T], table *selection.Table[T], rows []T, name string) error {
	one, err := selection.NewSet(
		table,
		selection.Request{Select: []string{`named(` + table.Fields()[0].Name + `, "` + escaped(name) + `")`}},
		selection.Options{Now: a.now()},
	)
	if err != nil {
		return badInput("--explain-select: %w", err)
	}
	found, err := pick(one, rows)
	if err != nil {
		return err
	}
	if _, err := set.Pick(rows); err != nil && !errors.Is(err, selection.ErrNothing) {
		return badInput("%w", err)
	}
	var all []selection.Explanation
	for i := range found {
		e, err := set.Explain(&found[i])
		if err != nil {
			return badInput("%w", err)
		}
		all = append(all, e)
	}
	return a.show(all, func() {
		for _, e := range all {
			a.drawExplanation(e)
		}
	})
}

func escaped(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }

func (a *app) drawExplanation(e selection.Explanation) {
	a.say("%s is %s", clean(e.Name), map[bool]string{true: "selected", false: "not selected"}[e.Selected])
	var rows []row
	var add func(r selection.Reason, indent string)
	add = func(r selection.Reason, indent string) {
		text := r.Text
		if r.Of != "" {
			text = r.Of + " " + r.Text
		}
		rows = append(rows, row{"  " + string(r.Answer), indent + text, strings.Join(r.Values, "; ")})
		for _, p := range r.Parts {
			add(p, indent+"  ")
		}
	}
	for _, r := range e.Why {
		add(r, "")
	}
	if len(rows) > 0 {
		a.grid(rows)
	}
}

func (a *app) printFields(fields []selection.Field) error {
	if a.format == formatName {
		for _, f := range fields {
			a.say("%s", f.Name)
		}
		return nil
	}
	return a.show(fields, func() {
		var rows []row
		for _, f := range fields {
			rows = append(
				rows,
				row{
					f.Name,
					strings.TrimSpace(string(f.Type) + " " + f.Unit),
					f.About,
					orDash(strings.Join(f.Values, ", ")),
				},
			)
		}
		a.table("", row{"FIELD", "TYPE", "WHAT IT IS", "ITS VALUES"}, rows)
	})
}

// selectOptions are what expressions of this command line may refer to: groups of the configuration, and the caller's
// files.
func (a *app) selectOptions() (selection.Options, error) {
	cfg, err := a.config()
	if err != nil {
		return selection.Options{}, err
	}
	return selection.Options{Now: a.now(), Groups: cfg.Groups, ReadFile: a.readNames}, nil
}

// mostNames is above any list of hosts, and below what would fill the memory.
const mostNames = 16 << 20

// readNames reads a file of names; - is the standard input.
func (a *app) readNames(path string) ([]byte, error) {
	if path == "-" && a.piped != nil { // who asks again, as --watch does, is told the same
		return a.piped, nil
	}
	from := a.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, mostNames+1))
	if err == nil && len(text) > mostNames {
		err = fmt.Errorf("%s is larger than %d MiB", path, mostNames>>20)
	}
	if path == "-" && err == nil {
		a.piped = append([]byte{}, text...)
	}
	return text, err
}
