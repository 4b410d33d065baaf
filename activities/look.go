package activities

import (
	"context"
	"errors"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
)

// gone reports whether PLC has the target no more.
func (a *Activities) gone(ctx context.Context, ref Ref) (bool, error) {
	var gone bool
	var err error
	switch ref.Type {
	case issue.PCUDown:
		var p store.PCU
		p, err = a.Store.PCU(ctx, ref.PCUID)
		gone = p.Gone
	case issue.SiteDown:
		var s store.Site
		if s, err = a.Store.Site(ctx, ref.Site); err == nil && !s.Gone {
			var nodes []store.Node
			nodes, err = a.Store.NodesOfSite(ctx, ref.Site)
			s.Gone = len(nodes) == 0
		}
		gone = s.Gone
	default:
		var n store.Node
		n, err = a.Store.Node(ctx, ref.Node)
		gone = n.Gone
	}
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return gone, err
}
