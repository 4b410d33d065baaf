package fakeplc

import (
	"maps"
	"slices"
	"time"
)

// SetRoles gives the account of Monitor these roles and no others. Without admin PLC answers less, and says nothing.
func (db *DB) SetRoles(roles ...string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	list := []any{}
	for _, r := range roles {
		list = append(list, r)
	}
	for _, p := range db.rows["Persons"] {
		if p["email"] == db.User {
			p["roles"] = list
		}
	}
}

// SetPassword lets a person sign in.
func (db *DB) SetPassword(email, password string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.passwords[email] = password
}

// State is a backup of the database.
type State struct {
	rows map[string][]Row
	next int
}

// Backup copies all that PLC knows.
func (db *DB) Backup() State {
	db.mu.Lock()
	defer db.mu.Unlock()
	return State{cloneAll(db.rows), db.next}
}

// Restore takes PLC back to a backup; what happened since is forgotten.
func (db *DB) Restore(s State) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.rows, db.next = cloneAll(s.rows), s.next
}

func cloneAll(rows map[string][]Row) map[string][]Row {
	out := map[string][]Row{}
	for name, list := range rows {
		for _, r := range list {
			out[name] = append(out[name], clone(r))
		}
	}
	return out
}

func clone(r Row) Row {
	r = maps.Clone(r)
	for k, v := range r {
		if list, ok := v.([]any); ok {
			r[k] = slices.Clone(list)
		}
	}
	return r
}

// Hide leaves a share (0 to 1) of a table's rows, those with the lowest ids, out of every answer.
func (db *DB) Hide(name string, share float64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.hidden[name] = share
}

// Lack takes columns away, as in a PLC of an older release: to ask for one is a fault.
func (db *DB) Lack(name string, columns ...string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.lacking[name] = columns
}

// DropWrites makes updates leave columns as they are and answer 1 all the same.
func (db *DB) DropWrites(columns ...string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.dropped = columns
}

// Rename gives a row another name; its id stays.
func (db *DB) Rename(name string, id int, to string) { db.Set(name, id, tables[name].name, to) }

// Move takes a node to another site.
func (db *DB) Move(node, site int) { db.Set("Nodes", node, "site_id", site) }

// Delete takes a row away, and all that belongs to it, as PLC does.
func (db *DB) Delete(name string, id int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.delete(name, id)
}

// parts are the tables whose rows go with a row of another.
var parts = map[string][]string{
	"Sites":   {"Nodes", "PCUs", "Slices", "SiteTags"},
	"Nodes":   {"Interfaces", "NodeTags", "SliceTags"},
	"Slices":  {"SliceTags"},
	"Persons": {"PersonTags"},
}

func (db *DB) delete(name string, id int) {
	column := tables[name].id
	for _, part := range parts[name] {
		for _, r := range slices.Clone(db.rows[part]) {
			if r[column] == id {
				db.delete(part, r[tables[part].id].(int))
			}
		}
	}
	switch name {
	case "Sites":
		db.leave(id)
	case "Nodes":
		unplug(db.rows["PCUs"], "node_ids", id)
	case "PCUs":
		unplug(db.rows["Nodes"], "pcu_ids", id)
	}
	db.drop(name, func(r Row) bool { return r[column] == id })
}

// leave takes a site from its people; those who had no other go with it.
func (db *DB) leave(site int) {
	for _, p := range slices.Clone(db.rows["Persons"]) {
		sites, _ := p["site_ids"].([]any)
		if !slices.Contains(sites, any(site)) {
			continue
		}
		p["site_ids"] = slices.DeleteFunc(slices.Clone(sites), func(v any) bool { return v == site })
		if len(sites) == 1 {
			db.delete("Persons", p["person_id"].(int))
		}
	}
}

// unplug takes an id, and the port at the same place, out of lists that go together.
func unplug(rows []Row, ids string, id int) {
	for _, r := range rows {
		list, _ := r[ids].([]any)
		ports, _ := r["ports"].([]any)
		if i := slices.Index(list, any(id)); i >= 0 {
			r[ids] = slices.Delete(slices.Clone(list), i, i+1)
			if i < len(ports) {
				r["ports"] = slices.Delete(slices.Clone(ports), i, i+1)
			}
		}
	}
}

func (db *DB) drop(name string, gone func(Row) bool) {
	db.rows[name] = slices.DeleteFunc(db.rows[name], gone)
}

// trouble is what happens to calls of a method.
type trouble struct {
	delay time.Duration
	hang  chan struct{} // until it is closed
	lose  int           // how many answers are still to be lost
}

func (db *DB) troubled(method string) *trouble {
	if db.troubles[method] == nil {
		db.troubles[method] = &trouble{}
	}
	return db.troubles[method]
}

// Delay makes calls of a method wait before they are done.
func (db *DB) Delay(method string, by time.Duration) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.troubled(method).delay = by
}

// Hang keeps calls of a method waiting until release is called. They are done then, whether the caller still waits or
// not.
func (db *DB) Hang(method string) (release func()) {
	db.mu.Lock()
	defer db.mu.Unlock()
	t := db.troubled(method)
	hang := make(chan struct{})
	t.hang = hang
	return func() {
		db.mu.Lock()
		defer db.mu.Unlock()
		if t.hang == hang {
			t.hang = nil
			close(hang)
		}
	}
}

// LoseAnswers makes the next n calls of a method do their work and then cut the connection instead of answering.
func (db *DB) LoseAnswers(method string, n int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.troubled(method).lose = n
}

// OnReboot is called by RebootNodeWithPCU; its error is what PLC answers as a string.
func (db *DB) OnReboot(do func(host string) error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.reboot = do
}

// InTagGap is called by AddSliceTag after it looked whether the tag is there, and before it writes it.
func (db *DB) InTagGap(do func()) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.gap = do
}

// Calls counts how often a method was called.
func (db *DB) Calls(method string) int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.calls[method]
}
