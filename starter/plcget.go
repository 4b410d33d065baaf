package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/selection"
)

func (a *app) plc() *cobra.Command {
	cmd := group("plc", "Read PLC's own records", "  monitor plc get nodes --filter boot_state=reinstall\n  monitor plc get nodegroups --list-fields")
	cmd.AddCommand(a.plcGet())
	return cmd
}

// plcFlags are what the flags ask of PLC.
type plcFlags struct {
	repeated
	filter     []string
	fields     []string
	listFields bool
	peers      bool
}

func (a *app) plcGet() *cobra.Command {
	var o plcFlags
	names := plcKinds()
	cmd := &cobra.Command{
		Use: "get TYPE", Short: "Read records of PLC as they are now", Args: takes("TYPE"), ValidArgsFunction: a.fixed(names...),
		Long: "Read records of PLC as they are now, with Monitor's account, also over --server: " + strings.Join(names, ", ") + `.
Conditions are FIELD=VALUE, FIELD!=VALUE, FIELD<VALUE and FIELD>VALUE. In a text, * stands for anything; of a list, the value
must be in it; a time is a day or RFC 3339. All of them must hold, but of one field given twice with =, any. What is secret
(passwords, keys, sessions) is never shown, nor are values of tags whose name says that they are.`,
		Example: `  monitor plc get nodes --filter boot_state=reinstall --fields hostname,last_contact --sort last_contact
  monitor plc get nodes --filter 'hostname=*.example.edu' --filter 'last_contact<2026-11-20' -o csv
  monitor plc get persons --filter roles=pi --fields email,site_ids -o json
  monitor plc get pcus --filter model=APCControl12p3
  monitor plc get nodegroups --list-fields`,
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := plc.KindNamed(args[0])
			if err != nil {
				return badInput("%w", err)
			}
			return a.readPLC(cmd.Context(), &o, kind)
		},
	}
	o.addFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&o.filter, "filter", nil, "only records of which this `condition` holds; may be given again")
	f.StringSliceVar(&o.fields, "fields", nil, "print these `fields`, separated by commas")
	f.BoolVar(&o.listFields, "list-fields", false, "list the fields that --filter, --fields and --sort know")
	f.BoolVar(&o.peers, "peers", false, "the records of peers, too")
	return cmd
}

func plcKinds() (names []string) {
	for _, k := range plc.Kinds() {
		names = append(names, strings.ToLower(k.Name))
	}
	return names
}

// plcTable is a kind of PLC's records as a kind of rows; the first field is how people know one.
func plcTable(k plc.Kind) *selection.Table[plc.Record] {
	forms := map[plc.Form]selection.Type{plc.FormNumber: selection.Number, plc.FormReal: selection.Number, plc.FormText: selection.Text,
		plc.FormBool: selection.Bool, plc.FormTime: selection.Time, plc.FormNumbers: selection.List, plc.FormTexts: selection.List}
	var columns []selection.Column[plc.Record]
	for _, f := range k.Fields {
		about := "as PLC has it"
		if f.Asked {
			about = "as PLC has it, where it is asked for"
		}
		columns = append(columns, selection.Column[plc.Record]{
			Field: selection.Field{Name: f.Name, Type: forms[f.Form], About: about},
			Of:    func(r *plc.Record, _ time.Time) any { return (*r)[f.Name] },
		})
	}
	key := slices.IndexFunc(columns, func(c selection.Column[plc.Record]) bool { return c.Name == k.Key })
	first := columns[key]
	columns = slices.Insert(slices.Delete(columns, key, key+1), 0, first)
	name := strings.ToLower(k.Name)
	return selection.NewTable(name, columns...).ListedBy("monitor plc get " + name)
}

// mostInTable is how many fields a table for people has where nobody asks for others.
const mostInTable = 8

func (a *app) readPLC(ctx context.Context, o *plcFlags, kind plc.Kind) error {
	table := plcTable(kind)
	if o.listFields {
		return a.printFields(table.Fields())
	}
	q := plc.Query{Kind: kind, Fields: o.fields, Peers: o.peers}
	for _, text := range o.filter {
		c, err := kind.Condition(text)
		if err != nil {
			return badInput("--filter: %w", err)
		}
		q.Conditions = append(q.Conditions, c)
	}
	for _, name := range o.fields {
		if _, err := kind.Field(name); err != nil {
			return badInput("--fields: %w", err)
		}
	}
	order, err := table.Order(o.sort)
	if err != nil {
		return badInput("--sort: %w", err)
	}
	fields := o.fields
	if len(fields) > 0 { // what it is sorted by, and called by, is read beside what is printed
		for _, k := range order {
			q.Fields = append(slices.Clone(q.Fields), k.Field)
		}
		q.Fields = append(slices.Clone(q.Fields), kind.Key)
	}
	read, err := a.plcReader()
	if err != nil {
		return err
	}
	return o.repeat(ctx, a, func() error {
		rows, bad, err := read(ctx, q, o.filter)
		if err != nil {
			return err
		}
		for _, id := range bad {
			a.warn("left out, since PLC cannot send it: %s %d", kind.ID, id)
		}
		shown := fields
		if len(shown) == 0 {
			shown = plcFields(table, rows, a.format)
		}
		l := &listing{fields: shown, repeated: o.repeated}
		return printRows(a, l, source[plc.Record]{table: table}, rows, shown, order)
	})
}

// plcReader reads records of PLC from wherever this call works. The conditions are given as they are written, too.
func (a *app) plcReader() (func(ctx context.Context, q plc.Query, filter []string) ([]plc.Record, []int, error), error) {
	r, err := a.remote()
	if err != nil {
		return nil, err
	}
	if r != nil {
		return func(ctx context.Context, q plc.Query, filter []string) ([]plc.Record, []int, error) {
			ctx, cancel := a.within(ctx, 4*patience)
			defer cancel()
			return r.plcRecords(ctx, q, filter)
		}, nil
	}
	cfg, err := a.config("plc")
	if err != nil {
		return nil, err
	}
	client, err := connect.PLC(cfg.PLC)
	if err != nil {
		return nil, badInput("%w", err)
	}
	return func(ctx context.Context, q plc.Query, _ []string) ([]plc.Record, []int, error) {
		ctx, cancel := a.within(ctx, cfg.PLC.Timeout)
		defer cancel()
		return client.Records(ctx, q)
	}, nil
}

func (r *apiServer) plcRecords(ctx context.Context, q plc.Query, filter []string) (list []plc.Record, bad []int, err error) {
	query := url.Values{"filter": filter, "peers": {strconv.FormatBool(q.Peers)}}
	if len(q.Fields) > 0 {
		query.Set("fields", strings.Join(q.Fields, ","))
	}
	var got struct {
		Items []map[string]json.RawMessage `json:"items"`
		Bad   []int                        `json:"bad"`
	}
	if err := r.get(ctx, pathOf("plc", strings.ToLower(q.Kind.Name)), query, &got); err != nil {
		return nil, nil, err
	}
	for _, item := range got.Items {
		record, err := q.Kind.Read(item)
		if err != nil {
			return nil, nil, fmt.Errorf("%s answers something unexpected: %w", r.Server, err)
		}
		list = append(list, record)
	}
	return list, got.Bad, nil
}

// plcFields are the fields that are printed where nobody asks for any: those that this PLC has, and of them few in a table.
func plcFields(table *selection.Table[plc.Record], rows []plc.Record, format string) (fields []string) {
	for _, f := range table.Fields() {
		if len(rows) > 0 {
			if _, read := rows[0][f.Name]; !read {
				continue
			}
		}
		if fields = append(fields, f.Name); format == formatTable && len(fields) == mostInTable {
			break
		}
	}
	return fields
}
