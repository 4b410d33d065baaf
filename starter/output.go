package main

import (
	outside "github.com/planetlab/monitor/clean"

	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/planetlab/monitor/selection"
)

// The formats of --output. Lists know all of them; what is not a list is a table, JSON or YAML.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatCSV   = "csv"
	formatName  = "name"
)

func formats() []string {
	return []string{formatTable, formatWide, formatJSON, formatYAML, formatCSV, formatName}
}

// listFormats are those that only lists know.
func (a *app) listFormat() bool { return a.format == formatCSV || a.format == formatName }

// show prints v as JSON or YAML, or what draw draws.
func (a *app) show(v any, draw func()) error {
	switch a.format {
	case formatTable, formatWide:
		draw()
		return nil
	case formatJSON, formatYAML:
		return a.document(v)
	}
	return a.flat(v)
}

// flat prints v as CSV or as names: a line for each object of a list, or one for the only one.
func (a *app) flat(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var list []yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(text, &list, yaml.UseOrderedMap()); err != nil {
		list = make([]yaml.MapSlice, 1)
		if err := yaml.UnmarshalWithOptions(text, &list[0], yaml.UseOrderedMap()); err != nil {
			return badInput("this command has no lines: ask for --output table, json or yaml")
		}
	}
	var fields []string
	for _, object := range list {
		for _, item := range object {
			if name := fmt.Sprint(item.Key); !slices.Contains(fields, name) {
				fields = append(fields, name)
			}
		}
	}
	if a.format == formatName {
		for _, object := range list {
			a.say("%s", clean(nameOf(object)))
		}
		return nil
	}
	var records []record
	for _, object := range list {
		values := object.ToMap()
		var r record
		for _, f := range fields {
			r = append(r, cell{f, flatValue(values[f])})
		}
		records = append(records, r)
	}
	return a.printCSV(fields, records)
}

// nameOf is what an object is called by.
func nameOf(object yaml.MapSlice) string {
	values := object.ToMap()
	for _, name := range []string{"name", "id", "hostname", "login_base", "key", "target"} {
		if v, is := values[name].(string); is {
			return v
		}
	}
	if len(object) == 0 {
		return ""
	}
	return fmt.Sprint(object[0].Value)
}

// flatValue is what stands in one cell: what is no single value is told as JSON.
func flatValue(v any) any {
	switch v.(type) {
	case yaml.MapSlice, []any:
		text, err := yaml.Marshal(v)
		if err == nil {
			text, err = yaml.YAMLToJSON(text)
		}
		if err != nil {
			return fmt.Sprint(v)
		}
		return strings.TrimSpace(string(text))
	}
	return v
}

// document prints v as JSON, or as the same in YAML.
func (a *app) document(v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	if a.format == formatYAML {
		return a.writeYAML(text.Bytes())
	}
	_, err := a.out.Write(outside.JSON(text.Bytes()))
	return err
}

// writeYAML prints JSON as YAML. Texts are cleaned, since YAML has no escapes outside quotes.
func (a *app) writeYAML(text []byte) error {
	var doc yamlv3.Node
	if err := yamlv3.Unmarshal([]byte(clean(string(text))), &doc); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	var plain func(n *yamlv3.Node)
	plain = func(n *yamlv3.Node) {
		n.Style = 0
		if n.Kind == yamlv3.ScalarNode {
			n.Value = clean(n.Value)
		}
		for _, sub := range n.Content {
			plain(sub)
		}
	}
	plain(&doc)
	e := yamlv3.NewEncoder(a.out)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return e.Close()
}

// record is one row of a list: its fields in order.
type record []cell

type cell struct {
	name  string
	value any // as a column of selection answers
}

// MarshalJSON writes an object whose names are in the order of the fields. A dot in a name becomes an underscore, a
// duration is told in seconds, and what is not known is null.
func (r record) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	text.WriteByte('{')
	for i, c := range r {
		if i > 0 {
			text.WriteByte(',')
		}
		v := c.value
		switch t := v.(type) {
		case time.Time:
			v = t.UTC()
		case time.Duration:
			v = t.Round(time.Millisecond).Seconds()
		}
		value, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&text, "%q:%s", strings.ReplaceAll(c.name, ".", "_"), value)
	}
	text.WriteByte('}')
	return text.Bytes(), nil
}

// printRecords prints a list in the format that was asked for; the first field of every record is its name.
func (a *app) printRecords(none string, fields []string, records []record) error {
	switch a.format {
	case formatJSON, formatYAML:
		return a.document(records)
	case formatCSV:
		return a.printCSV(fields, records)
	}
	var rows []row
	for _, r := range records {
		var cells row
		for _, c := range r {
			cells = append(cells, a.cell(c))
		}
		rows = append(rows, cells)
	}
	a.table(none, headings(fields), rows)
	return nil
}

func headings(fields []string) row {
	var header row
	for _, f := range fields {
		header = append(header, strings.ToUpper(strings.NewReplacer("_", " ", ".", " ").Replace(f)))
	}
	return header
}

// cell is a value in a table.
func (a *app) cell(c cell) any {
	switch v := c.value.(type) {
	case nil:
		return "-"
	case time.Time:
		return v
	case time.Duration:
		return selection.ShowDuration(v)
	case bool:
		return yes(v)
	case string:
		if slices.Contains([]string{"status", "site.status", "pcu.status", "outcome"}, c.name) {
			return a.state(v)
		}
		return v
	case []string:
		return orDash(strings.Join(v, ", "))
	case []int:
		return orDash(strings.Join(digits(v), ", "))
	}
	return plain(c.value)
}

// plain is a value in CSV: times as RFC 3339 in UTC, durations in seconds.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case time.Duration:
		return fmt.Sprint(int64(v.Seconds()))
	case []string:
		return strings.Join(v, " ")
	case []int:
		return strings.Join(digits(v), " ")
	case map[string]any:
		text, _ := json.Marshal(v)
		return string(text)
	}
	return fmt.Sprint(v)
}

func digits(list []int) (texts []string) {
	for _, n := range list {
		texts = append(texts, strconv.Itoa(n))
	}
	return texts
}

func (a *app) printCSV(fields []string, records []record) error {
	w := csv.NewWriter(a.out)
	if err := w.Write(fields); err != nil {
		return err
	}
	for _, r := range records {
		line := make([]string, len(r))
		for i, c := range r {
			line[i] = clean(plain(c.value))
		}
		if err := w.Write(line); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
