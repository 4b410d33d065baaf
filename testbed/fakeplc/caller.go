package fakeplc

import (
	"slices"

	"github.com/planetlab/monitor/plc/xmlrpc"
)

// caller is who makes a call. A role that is missing is rarely a fault: mostly PLC answers less.
type caller struct {
	person Row // nil: anonymous
}

func (c caller) has(role string) bool {
	roles, _ := c.person["roles"].([]any)
	return slices.Contains(roles, any(role))
}

func (c caller) admin() bool { return c.has("admin") }

// at reports whether the caller belongs to a site.
func (c caller) at(site any) bool {
	sites, _ := c.person["site_ids"].([]any)
	return slices.Contains(sites, site)
}

// authenticate finds the account that a call's first argument names.
func (db *DB) authenticate(arg any) (caller, *xmlrpc.Fault) {
	auth, _ := arg.(Row)
	switch auth["AuthMethod"] {
	case "anonymous":
		return caller{}, nil
	case "password":
		email, _ := auth["Username"].(string)
		if password, known := db.passwordOf(email); known && auth["AuthString"] == password {
			for _, p := range db.rows["Persons"] {
				if p["email"] == email && p["enabled"] == true && p["peer_id"] == nil {
					return caller{p}, nil
				}
			}
		}
	}
	return caller{}, fault(103, "AuthMethod: Failed to authenticate call")
}

// passwordOf is what an account signs in with; people have none until SetPassword gives them one.
func (db *DB) passwordOf(email string) (string, bool) {
	if email == db.User {
		return db.Password, true
	}
	password, known := db.passwords[email]
	return password, known
}

// mayCall says which methods fault without a role; those of reading take any.
func (c caller) mayCall(method string) *xmlrpc.Fault {
	open := []string{"GetNodes", "GetSites", "GetInterfaces", "AuthCheck"}
	if roles, _ := c.person["roles"].([]any); len(roles) == 0 && !slices.Contains(open, method) {
		return fault(103, "%s: Failed to authenticate call: not in one of the roles it needs", method)
	}
	return nil
}

// sees reports whether a row is in the caller's answers. This is how a lost role shows: by less, not by a fault.
func (c caller) sees(name string, r Row) bool {
	if c.admin() {
		return true
	}
	switch name {
	case "Nodes":
		whitelist, _ := r["slice_ids_whitelist"].([]any)
		return len(whitelist) == 0
	case "PCUs":
		return c.at(r["site_id"])
	case "Persons":
		sites, _ := r["site_ids"].([]any)
		return r["person_id"] == c.person["person_id"] || c.has("pi") && slices.ContainsFunc(sites, c.at)
	case "Slices":
		return c.has("pi") && c.at(r["site_id"])
	case "NodeTags", "SiteTags", "PersonTags", "SliceTags":
		return false
	}
	return true
}

// mayWrite says whether the caller may change what belongs to a site.
func (c caller) mayWrite(site any) *xmlrpc.Fault {
	if c.admin() || (c.has("pi") || c.has("tech")) && c.at(site) {
		return nil
	}
	return fault(108, "Permission denied: not a member of the site")
}
