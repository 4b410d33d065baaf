package answers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
)

// Target is what a question is about.
type Target struct {
	Kind string `json:"kind"` // node, pcu or site
	Name string `json:"target"`
	Site string `json:"site"`
	Type string `json:"type,omitempty"` // of issue, where the question named an issue
}

// The kinds of targets.
const (
	KindNode = "node"
	KindPCU  = "pcu"
	KindSite = "site"
)

// Find says what a name stands for: a node, a site or a PCU, or an issue about one, as nodedown/planetlab1.example.edu. A name that nobody
// knows is store.ErrNotFound.
func Find(ctx context.Context, db *store.Store, name string) (Target, error) {
	if typ, target, isIssue := strings.Cut(name, "/"); isIssue {
		if _, known := issue.Lookup(typ); !known {
			return Target{}, fmt.Errorf("no issue type %q is known: %w", typ, store.ErrNotFound)
		}
		t, err := Find(ctx, db, target)
		t.Type = typ
		return t, err
	}
	for _, find := range []func() (Target, error){
		func() (Target, error) {
			n, err := db.Node(ctx, name)
			return Target{Kind: KindNode, Name: n.Hostname, Site: n.Site}, err
		},
		func() (Target, error) {
			s, err := db.Site(ctx, name)
			return Target{Kind: KindSite, Name: s.LoginBase, Site: s.LoginBase}, err
		},
		func() (Target, error) {
			p, err := db.PCUByName(ctx, name)
			return Target{Kind: KindPCU, Name: p.Name, Site: p.Site}, err
		},
	} {
		if t, err := find(); err == nil || !errors.Is(err, store.ErrNotFound) {
			return t, err
		}
	}
	return Target{}, fmt.Errorf("no node, site or PCU %s is known: %w", name, store.ErrNotFound)
}
