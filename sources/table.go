package sources

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Table is a table of comma-separated values over HTTP, as CoMon gives one. Its first row names the columns.
type Table struct {
	URL     string
	Node    string            // the column with the host name or address of the node
	Columns map[string]string // by the name of the fact
}

// Name is table.
func (Table) Name() string { return "table" }

// Facts reads the table. A row that is too short says nothing in the columns that it lacks.
func (t Table) Facts(ctx context.Context) ([]Fact, string, error) {
	text, err := fetch(ctx, t.URL, "")
	if err != nil {
		return nil, "", err
	}
	return t.read(text)
}

func (t Table) read(text []byte) (facts []Fact, _ string, _ error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace, r.ReuseRecord = -1, true, true, true
	head, err := r.Read()
	if err != nil {
		return nil, "", errors.New("it holds no table")
	}
	at := map[string]int{}
	for i, name := range head {
		at[strings.ToLower(strings.TrimSpace(name))] = i
	}
	column := func(name string) (int, error) {
		i, has := at[strings.ToLower(strings.TrimSpace(name))]
		if !has {
			return 0, fmt.Errorf("the table has no column %q", name)
		}
		return i, nil
	}
	node, err := column(t.Node)
	if err != nil {
		return nil, "", err
	}
	names := slices.Sorted(maps.Keys(t.Columns))
	where := make([]int, len(names))
	for i, name := range names {
		if where[i], err = column(t.Columns[name]); err != nil {
			return nil, "", err
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return facts, "", nil
		}
		if err != nil {
			return nil, "", fmt.Errorf("the table cannot be read: %w", err)
		}
		for i, name := range names {
			if node < len(row) && where[i] < len(row) && strings.TrimSpace(row[where[i]]) != "" {
				facts = append(facts, Fact{Node: strings.TrimSpace(row[node]), Name: name, Value: parse(row[where[i]])})
			}
		}
	}
}
