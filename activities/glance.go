package activities

import (
	"context"
	"errors"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// Glance is what one look at a node sees, just now.
type Glance struct {
	Host     string    `json:"host"`
	Site     string    `json:"site"`
	At       time.Time `json:"at"`
	Alive    bool      `json:"alive"` // something answers for it
	State    string    `json:"state"`
	Category string    `json:"category"`
	Reason   string    `json:"reason"`
	Uptime   float64   `json:"uptime_seconds"`
}

// LookAtNode looks at a node now, as an order to it would, and changes nothing: what the last sweep saw stays as it is.
func (a *Explainer) LookAtNode(ctx context.Context, host string) (Glance, error) {
	defer heartbeat(ctx)()
	n, err := a.Store.Node(ctx, host)
	if errors.Is(err, store.ErrNotFound) || err == nil && n.Gone {
		return Glance{}, noTarget("no node %s is known", clean.Line(host))
	}
	if err != nil {
		return Glance{}, err
	}
	seen, err := a.observer.observe(ctx, issue.Ref{Type: request.Type, Node: n.Hostname, Site: n.Site})
	f := seen.facts.Finding
	return Glance{Host: n.Hostname, Site: n.Site, At: seen.at.UTC(), Alive: f.Alive(), State: f.State, Category: f.Category,
		Reason: clean.Line(f.Reason), Uptime: f.Uptime.Seconds()}, err
}
