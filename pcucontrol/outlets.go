package pcucontrol

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/pcucontrol/internal/secret"
)

// OutletState is one outlet of a device.
type OutletState struct {
	Outlet int    `json:"outlet,omitempty"` // 0 where there is but one machine, or where outlets only have names
	Name   string `json:"name,omitempty"`
	State  State  `json:"state"`
}

// List reads all outlets of a device, in one query where the device has one. A model of one machine has one, of number
// 0.
func (c *Catalog) List(ctx context.Context, t Target) ([]OutletState, error) {
	t.Outlet, t.OutletName = 0, ""
	m, err := c.Resolve(t.Model)
	if err != nil {
		return nil, err
	}
	var found []OutletState
	_, err = c.run(ctx, t, false, func(ctx context.Context, d Driver, t Target) (Result, error) {
		err := noWord(t, "list")
		if l, ok := d.(Lister); ok {
			found, err = l.List(ctx, t)
		}
		if KindOf(err) == Unsupported && !m.Outlets {
			var r Result
			r, err = d.Status(ctx, t)
			found = []OutletState{{State: r.After}}
		}
		return Result{Before: Unknown, After: Unknown}, err
	})
	return found, err
}

// numbered is the target with the number of the outlet that it names.
func numbered(ctx context.Context, d Driver, t Target) (Target, error) {
	n, ok := d.(Namer)
	if ok && n.KnowsNames() || t.OutletName == "" || t.Outlet != 0 {
		return t, nil
	}
	l, ok := d.(Lister)
	if !ok {
		return t, &Error{Unsupported, t.Host, "find the outlet",
			"this model does not tell the names of outlets; give the number"}
	}
	list, err := l.List(ctx, t)
	if err != nil {
		return t, err
	}
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		fits := slices.Collect(func(yield func(int) bool) {
			for _, o := range list {
				if same(o.Name, t.OutletName) && !yield(o.Outlet) {
					return
				}
			}
		})
		switch {
		case len(fits) == 1:
			t.Outlet = fits[0]
			return t, nil
		case len(fits) > 1:
			return t, &Error{NoOutlet, t.Host, "find the outlet",
				fmt.Sprintf("%d outlets are named %q: %v; give the number", len(fits), t.OutletName, fits)}
		}
	}
	var names []string
	for _, o := range list {
		names = append(names, fmt.Sprintf("%q", o.Name))
	}
	return t, &Error{
		NoOutlet,
		t.Host,
		"find the outlet",
		fmt.Sprintf("none is named %q; there are %s", t.OutletName,
			secret.Mask(strings.Join(names[:min(16, len(names))], ", "), t.Password)),
	}
}
