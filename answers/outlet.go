package answers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/store"
)

// Outlet is an outlet of a PCU, by Monitor's own records.
type Outlet struct {
	PCU    string `json:"pcu"`
	PCUID  int    `json:"pcu_id"`
	Outlet int    `json:"outlet,omitempty"` // 0: the PCU alone was named
	Site   string `json:"site"`
}

// Outlets is what a name stands for: PCU:OUTLET, a PCU alone, or a node, which stands for all outlets that feed it. A name
// that nobody knows is store.ErrNotFound.
func Outlets(ctx context.Context, db *store.Store, name string) (list []Outlet, err error) {
	n, err := db.Node(ctx, name)
	switch {
	case err == nil:
		for _, f := range n.Feeds {
			p, err := db.PCU(ctx, f.PCUID)
			if err != nil {
				return nil, err
			}
			list = append(list, Outlet{p.Name, f.PCUID, f.Outlet, n.Site})
		}
		if len(list) == 0 {
			err = fmt.Errorf("no PCU feeds %s: %w", name, store.ErrNotFound)
		}
		return list, err
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	pcu, outlet := numberedOutlet(name)
	p, err := db.PCUByName(ctx, pcu)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("no PCU and no node %s is known: %w", pcu, store.ErrNotFound)
	}
	return []Outlet{{p.Name, p.PCUID, outlet, p.Site}}, err
}

// numberedOutlet splits PCU:OUTLET; an address with colons in it is none.
func numberedOutlet(name string) (pcu string, outlet int) {
	i := strings.LastIndex(name, ":")
	if i < 0 {
		return name, 0
	}
	number, err := strconv.Atoi(name[i+1:])
	if err != nil || number <= 0 {
		return name, 0
	}
	return name[:i], number
}
