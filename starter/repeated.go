package main

import (
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/selection"
)

// repeated is what all commands share that list: in which order they print, and how often.
type repeated struct {
	sort  []string
	watch time.Duration
}

func (l *repeated) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&l.sort, "sort", nil, "sort by these `fields`; -FIELD is the other way round")
	f.DurationVar(&l.watch, "watch", 0, "print it again every `interval`, 10s where none is given (--watch=1m), until Ctrl-C")
	f.Lookup("watch").NoOptDefVal = "10s"
}

// repeat does something once, or every interval until Ctrl-C.
func (l *repeated) repeat(ctx context.Context, a *app, once func() error) error {
	if l.watch == 0 {
		return once()
	}
	if l.watch < time.Second {
		return badInput("--watch must be a second or more")
	}
	tick := time.NewTicker(l.watch)
	defer tick.Stop()
	for {
		if isTerminal(a.out) {
			a.say("\x1b[H\x1b[2J%s", a.stamp(a.now()))
		}
		if err := once(); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// few prints a list that has a table of its own, in the order that is asked for by the names of its JSON.
func few[T any](a *app, l *repeated, list []T, draw func([]T)) error {
	table := selection.NewTable("its rows", columnsOf[T]()...)
	order, err := table.Order(l.sort)
	if err != nil {
		return badInput("--sort: %w", err)
	}
	byRef := make([]*T, len(list))
	for i := range list {
		byRef[i] = &list[i]
	}
	table.Sort(byRef, order, a.now())
	sorted := make([]T, len(list))
	for i, r := range byRef {
		sorted[i] = *r
	}
	return a.show(sorted, func() { draw(sorted) })
}

// columnsOf are the fields of a struct by their names in JSON.
func columnsOf[T any]() (columns []selection.Column[T]) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		columns = append(columns, selection.Column[T]{Field: selection.Field{Name: name, Type: selection.Text},
			Of: func(row *T, _ time.Time) any { return known(reflect.ValueOf(row).Elem().FieldByIndex(f.Index)) }})
	}
	return columns
}

// known is a value as rows are sorted by it; nil: it is not known.
func known(v reflect.Value) any {
	if at, is := v.Interface().(time.Time); is && at.IsZero() {
		return nil
	}
	switch {
	case v.Kind() == reflect.String && v.Len() == 0:
		return nil
	case v.Kind() == reflect.String:
		return v.String()
	case v.CanInt():
		return int(v.Int())
	}
	return v.Interface()
}
