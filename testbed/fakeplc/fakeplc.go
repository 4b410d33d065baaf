// Package fakeplc is the testbed's PLCAPI: a database of sites, nodes, PCUs and people behind XML-RPC, with the manners
// of the real one: faults in HTTP 200, an HTML page for what breaks it, nil for everything and an empty list for
// nothing.
package fakeplc

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/planetlab/monitor/plc/xmlrpc"
)

// Row is one row of a table, by column.
type Row = map[string]any

// DB is what PLC knows. It is safe for use by many goroutines.
type DB struct {
	User, Password string // the account of Monitor, an admin until SetRoles says otherwise

	mu       sync.Mutex
	rows     map[string][]Row
	next     int
	down     bool
	hidden   map[string]float64
	lacking  map[string][]string
	dropped  []string
	troubles map[string]*trouble
	calls    map[string]int
	reboot   func(host string) error
	gap      func()

	passwords map[string]string // of people, by address
}

// NewDB makes a database with nothing but one account, and the tag types that PLC ships.
func NewDB(user, password string) *DB {
	db := &DB{
		User:     user,
		Password: password,
		rows:     map[string][]Row{},
		next:     1,
		hidden:   map[string]float64{},
		lacking:  map[string][]string{},
		troubles: map[string]*trouble{},
		calls:    map[string]int{},

		passwords: map[string]string{},
	}
	db.Add("Persons", Row{"email": user, "roles": []any{"admin"}})
	for _, name := range shippedTagTypes {
		db.Add("TagTypes", Row{"tagname": name})
	}
	return db
}

// Add puts a row into a table, gives it an id unless it has one, and returns the id. A tag of a type that PLC does not
// have makes the type, as its admins would have done first.
func (db *DB) Add(name string, row Row) int {
	db.mu.Lock()
	defer db.mu.Unlock()
	if tag, ok := row["tagname"].(string); ok && !db.hasTagType(tag) && name != "TagTypes" {
		db.add("TagTypes", Row{"tagname": tag})
	}
	return db.add(name, row)
}

func (db *DB) hasTagType(tag string) bool {
	return slices.ContainsFunc(db.rows["TagTypes"], func(r Row) bool { return r["tagname"] == tag })
}

func (db *DB) add(name string, row Row) int {
	t := tables[name]
	id, ok := row[t.id].(int)
	for !ok {
		id = db.next
		db.next++
		ok = !slices.ContainsFunc(db.rows[name], func(r Row) bool { return r[t.id] == id })
		row[t.id] = id
	}
	for k, c := range t.columns {
		if _, has := row[k]; !has {
			row[k] = c.blank()
		}
	}
	if name == "Persons" && row["enabled"] == nil {
		row["enabled"] = true
	}
	if name == "Slices" && row["expires"] == nil {
		row["expires"] = int(time.Now().AddDate(0, 2, 0).Unix())
	}
	db.rows[name] = append(db.rows[name], row)
	return id
}

// schema is a table without the columns that this PLC lacks.
func (db *DB) schema(name string) table {
	t := tables[name]
	if len(db.lacking[name]) > 0 {
		t.columns = maps.Clone(t.columns)
		for _, k := range db.lacking[name] {
			delete(t.columns, k)
		}
	}
	return t
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
			out = append(out, clone(r))
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
	answer, lost := db.serve(method, args)
	if lost {
		panic(http.ErrAbortHandler) // cuts the connection
	}
	text, err := xmlrpc.Response(answer)
	if err != nil || answer == dead { // an int that does not fit kills the whole answer
		page(http.StatusInternalServerError, "Internal Server Error")
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write(text)
}

// dead is what a call answers when the database is down.
const dead = "the database is down"

// serve does a call, after the troubles that its method has. A call whose caller has hung up is done all the same.
func (db *DB) serve(method string, args []any) (answer any, lost bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.calls[method]++
	t := *db.troubled(method)
	db.mu.Unlock()
	time.Sleep(t.delay)
	if t.hang != nil {
		<-t.hang
	}
	db.mu.Lock()
	if db.down {
		return dead, false
	}
	answer, bad := db.call(method, args)
	if bad != nil {
		answer = bad
	}
	if now := db.troubled(method); now.lose > 0 {
		now.lose--
		return nil, true
	}
	return detach(answer), false
}

// detach copies the lists of an answer, which is written after the lock is given back.
func detach(answer any) any {
	list, ok := answer.([]any)
	if !ok {
		return answer
	}
	for i, r := range list {
		list[i] = clone(r.(Row))
	}
	return list
}

func fault(code int, format string, args ...any) *xmlrpc.Fault {
	return &xmlrpc.Fault{Code: code, String: fmt.Sprintf(format, args...)}
}

// Poison is a value that no XML-RPC int holds; a row with it turns every call that reads it into an HTTP 500.
const Poison = math.MaxInt32 + 1
