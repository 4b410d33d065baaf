// Package access says who may do what. There is one table of verbs, one for each thing that can be read or ordered, and
// one function, Check, which the command line, the API and the pages ask alike. What the table does not allow is
// refused: a person without a role, a verb that nobody knows, and a site that is not somebody's own.
package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Role is what a person, or a program, is to Monitor.
type Role string

// The roles. Nobody has one unless it was given to him: the zero Who may do nothing.
const (
	// Viewer looks. A viewer whose sites are named sees only those: a user of a site in PLC.
	Viewer Role = "viewer"
	// Site looks at the sites that are named, and acts on their nodes: the tech and the PI of a site in PLC.
	Site Role = "site"
	// Operator keeps the fleet alive.
	Operator Role = "operator"
	// Admin may do everything: also what is hard to undo, and what says who may do what.
	Admin Role = "admin"
)

// Roles are all of them, from the least to the most.
func Roles() []Role { return []Role{Viewer, Site, Operator, Admin} }

// AllSites in the place of a site's name stands for every site. A list of sites without it, and an empty one above all,
// means those that it names.
const AllSites = "*"

// How somebody was recognised.
const (
	ByAccount = "command line" // the operating system knows the account, which can read Monitor's own configuration
	ByToken   = "token"
	ByPLC     = "PLC"
	ByOIDC    = "OIDC"
	ByLink    = "link" // he holds a link that was mailed to him, which is for one act
)

// Who is somebody who reads or orders. The zero Who is a stranger.
type Who struct {
	Name    string   `json:"name"`              // what he is called
	Account string   `json:"account"`           // what he was recognised by: an account, a token's name, an address
	Role    Role     `json:"role"`              //
	Sites   []string `json:"sites"`             // where his role holds: login_bases, or AllSites
	From    string   `json:"from,omitempty"`    // the address that he calls from
	SignIn  string   `json:"sign_in,omitempty"` // how he was recognised: ByToken and its like
}

// String is who he is in the words that stand in a ledger: his name, and beside it the account, where that is another.
func (w Who) String() string {
	switch {
	case w.Account == "" && w.Name == "":
		return "a stranger"
	case w.Name == "" || w.Name == w.Account:
		return w.Account
	case w.Account == "":
		return w.Name
	}
	return w.Name + ", as " + w.Account
}

// Known reports whether he was recognised.
func (w Who) Known() bool { return slices.Contains(Roles(), w.Role) }

// Of reports whether his role holds at a site. Where no site is named, it must hold at all.
func (w Who) Of(site string) bool {
	if slices.Contains(w.Sites, AllSites) && w.Role != Site { // the fleet is nobody's own site
		return true
	}
	return site != "" && site != AllSites && slices.Contains(w.Sites, site)
}

// ErrRefused is what every refusal of Check wraps.
var ErrRefused = errors.New("not allowed")

// Allowed reports whether somebody may do something at a site; no site means the fleet.
func Allowed(w Who, v Verb, site string) bool { return Check(w, v, site) == nil }

// Check is Allowed, and says why not.
func Check(w Who, v Verb, site string) error {
	rule, known := lookup(v)
	switch {
	case !w.Known():
		return fmt.Errorf("%w: nobody is signed in", ErrRefused)
	case !known:
		return fmt.Errorf("%w: no verb %q is known", ErrRefused, v)
	case !slices.Contains(rule.Roles, w.Role):
		return fmt.Errorf("%w: %s is for the %s, and %s is a %s", ErrRefused, v, names(rule.Roles), w, w.Role)
	case rule.Scope == Everybody:
		return nil
	case rule.Scope == Fleet && !w.Of(""):
		return fmt.Errorf("%w: %s concerns the whole fleet, and %s is a %s of %s", ErrRefused, v, w, w.Role, w.sites())
	case !w.Of(site):
		return fmt.Errorf("%w: %s at %s is not for %s, a %s of %s", ErrRefused, v, named(site), w, w.Role, w.sites())
	}
	return nil
}

func (w Who) sites() string {
	if len(w.Sites) == 0 {
		return "no site"
	}
	return strings.Join(w.Sites, ", ")
}

func named(site string) string {
	if site == "" {
		return "all sites"
	}
	return site
}

func names(roles []Role) string {
	var list []string
	for _, r := range roles {
		list = append(list, string(r))
	}
	return strings.Join(list, ", ")
}

// CheckScope reports why a role cannot be given for these sites.
func CheckScope(r Role, sites []string) error {
	switch {
	case !slices.Contains(Roles(), r):
		return fmt.Errorf("%q is no role: there are %s", r, names(Roles()))
	case len(sites) == 0:
		return errors.New("no site is named: name those where the role holds, or * for all")
	case r == Site && slices.Contains(sites, AllSites):
		return errors.New("the role site is for sites that are named, not for all: operator is the role for the fleet")
	case slices.Contains(sites, ""):
		return errors.New("a site without a name is none")
	}
	return nil
}
