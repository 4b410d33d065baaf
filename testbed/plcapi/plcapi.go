// Package plcapi is the testbed's PLCAPI: a database of sites, nodes, PCUs and people behind XML-RPC, with the manners of the
// real one: faults in HTTP 200, an HTML page for what breaks it, nil for everything and an empty list for nothing.
package plcapi

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/planetlab/monitor/plc/xmlrpc"
)

// Row is one row of a table, by column.
type Row = map[string]any

// table says which column is a row's id and which its name.
type table struct{ id, name string }

var tables = map[string]table{
	"Sites": {"site_id", "login_base"}, "Nodes": {"node_id", "hostname"}, "PCUs": {"pcu_id", "hostname"}, "Persons": {"person_id", "email"},
	"Slices": {"slice_id", "name"}, "Interfaces": {"interface_id", "ip"}, "SliceTags": {"slice_tag_id", ""}, "NodeTags": {"node_tag_id", ""},
	"SiteTags": {"site_tag_id", ""}, "PersonTags": {"person_tag_id", ""},
}

// bootStates are the names of today; old ones are a fault.
var bootStates = []string{"boot", "safeboot", "failboot", "install", "reinstall", "upgrade", "disabled"}

// DB is what PLC knows. It is safe for use by many goroutines.
type DB struct {
	User, Password string

	mu   sync.Mutex
	rows map[string][]Row
	next int
	down bool
}

// NewDB makes an empty database with one login.
func NewDB(user, password string) *DB {
	return &DB{User: user, Password: password, rows: map[string][]Row{}, next: 1}
}

// Add puts a row into a table, gives it an id unless it has one, and returns the id.
func (db *DB) Add(name string, row Row) int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.add(name, row)
}

func (db *DB) add(name string, row Row) int {
	id, ok := row[tables[name].id].(int)
	if !ok {
		id = db.next
		db.next++
		row[tables[name].id] = id
	}
	db.rows[name] = append(db.rows[name], row)
	return id
}

// Get returns a copy of the first row whose column has the value, or nil.
func (db *DB) Get(name, column string, value any) Row {
	if rows := db.All(name, column, value); len(rows) > 0 {
		return rows[0]
	}
	return nil
}

// All returns copies of the rows whose column has the value.
func (db *DB) All(name, column string, value any) []Row {
	db.mu.Lock()
	defer db.mu.Unlock()
	var out []Row
	for _, r := range db.rows[name] {
		if r[column] == value {
			out = append(out, maps.Clone(r))
		}
	}
	return out
}

// Set changes one column of a row as its owner would on the web pages.
func (db *DB) Set(name string, id int, column string, value any) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, r := range db.rows[name] {
		if r[tables[name].id] == id {
			r[column] = value
		}
	}
}

// SetDown takes the database away: every call is an HTTP 500 with a page.
func (db *DB) SetDown(down bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.down = down
}

// ServeHTTP answers calls.
func (db *DB) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page := func(code int, text string) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		fmt.Fprintf(w, "<html><body><h1>%s</h1></body></html>\n", text)
	}
	switch {
	case r.Method != http.MethodPost:
		page(http.StatusOK, "PlanetLab API")
		return
	case r.ContentLength < 0:
		page(http.StatusLengthRequired, "Length Required")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return
	}
	method, args, err := xmlrpc.ParseCall(bytes.NewReader(body))
	if err != nil {
		page(http.StatusInternalServerError, "Internal Server Error")
		return
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.down {
		page(http.StatusInternalServerError, "Internal Server Error")
		return
	}
	answer, fault := db.call(method, args)
	var out any = answer
	if fault != nil {
		out = fault
	}
	text, err := xmlrpc.Response(out)
	if err != nil { // an int that does not fit kills the whole answer
		page(http.StatusInternalServerError, "Internal Server Error")
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write(text)
}

func fault(code int, format string, args ...any) *xmlrpc.Fault {
	return &xmlrpc.Fault{Code: code, String: fmt.Sprintf(format, args...)}
}

func (db *DB) call(method string, args []any) (any, *xmlrpc.Fault) {
	if len(args) == 0 {
		return nil, fault(101, "%s: too few arguments", method)
	}
	auth, _ := args[0].(Row)
	if auth["AuthMethod"] != "password" || auth["Username"] != db.User || auth["AuthString"] != db.Password {
		return nil, fault(103, "AuthMethod: Failed to authenticate call")
	}
	args = args[1:]
	if name, ok := strings.CutPrefix(method, "Get"); ok && tables[name].id != "" {
		return db.get(name, args)
	}
	switch method {
	case "AuthCheck":
		return 1, nil
	case "UpdateNode", "UpdateSite":
		name := strings.TrimPrefix(method, "Update") + "s"
		return db.update(name, args)
	case "AddSliceTag":
		return db.addSliceTag(args)
	case "DeleteSliceTag":
		if len(args) != 1 {
			return nil, fault(101, "DeleteSliceTag: wrong number of arguments")
		}
		before := len(db.rows["SliceTags"])
		db.rows["SliceTags"] = slices.DeleteFunc(db.rows["SliceTags"], func(r Row) bool { return r["slice_tag_id"] == args[0] })
		if len(db.rows["SliceTags"]) == before {
			return nil, fault(102, "No such slice attribute")
		}
		return 1, nil
	}
	return nil, fault(100, "Invalid method %s", method)
}

func (db *DB) get(name string, args []any) (any, *xmlrpc.Fault) {
	t := tables[name]
	var filter any
	if len(args) > 0 {
		filter = args[0]
	}
	var fields []any
	if len(args) > 1 {
		fields, _ = args[1].([]any)
	}
	out := []any{}
	for _, r := range db.rows[name] {
		ok, f := matches(t, r, filter)
		if f != nil {
			return nil, f
		}
		if !ok {
			continue
		}
		row := Row{}
		for k, v := range r {
			if fields == nil || slices.Contains(fields, any(k)) {
				row[k] = v
			}
		}
		for _, k := range fields {
			if _, has := row[k.(string)]; !has {
				row[k.(string)] = nil
			}
		}
		out = append(out, row)
	}
	return out, nil
}

func matches(t table, r Row, filter any) (bool, *xmlrpc.Fault) {
	switch f := filter.(type) {
	case nil:
		return true, nil
	case Row:
		for k, v := range f {
			if _, known := r[k]; !known {
				return false, fault(102, "Invalid filter field %s", k)
			}
			if r[k] != v {
				return false, nil
			}
		}
		return true, nil
	case []any:
		return slices.ContainsFunc(f, func(v any) bool { return v == r[t.id] || (t.name != "" && v == r[t.name]) }), nil
	}
	return filter == r[t.id] || filter == r[t.name], nil
}

func (db *DB) update(name string, args []any) (any, *xmlrpc.Fault) {
	if len(args) != 2 {
		return nil, fault(101, "wrong number of arguments")
	}
	fields, ok := args[1].(Row)
	if !ok {
		return nil, fault(102, "Invalid argument: fields must be a struct")
	}
	if s, has := fields["boot_state"].(string); has && !slices.Contains(bootStates, s) {
		return nil, fault(102, "Invalid boot state %s", s)
	}
	for i, r := range db.rows[name] {
		if ok, _ := matches(tables[name], r, args[0]); !ok {
			continue
		}
		for _, k := range []string{"boot_state", "enabled", "key"} { // others may not be written and are dropped
			if v, has := fields[k]; has {
				r[k] = v
			}
		}
		// An update moves the row to the end.
		db.rows[name] = append(slices.Delete(db.rows[name], i, i+1), r)
		return 1, nil
	}
	return nil, fault(102, "No such %s", strings.ToLower(name))
}

func (db *DB) addSliceTag(args []any) (any, *xmlrpc.Fault) {
	if len(args) != 3 {
		return nil, fault(101, "AddSliceTag: wrong number of arguments")
	}
	for _, s := range db.rows["Slices"] {
		if ok, _ := matches(tables["Slices"], s, args[0]); !ok {
			continue
		}
		for _, t := range db.rows["SliceTags"] {
			if t["slice_id"] == s["slice_id"] && t["tagname"] == args[1] {
				return nil, fault(102, "Sliver already has the tag %s", args[1])
			}
		}
		return db.add("SliceTags", Row{"slice_id": s["slice_id"], "tagname": args[1], "value": args[2]}), nil
	}
	return nil, fault(102, "No such slice")
}

// Poison is a value that no XML-RPC int holds; a row with it turns every call that reads it into an HTTP 500.
const Poison = math.MaxInt32 + 1
