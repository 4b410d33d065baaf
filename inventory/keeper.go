package inventory

import (
	"context"
	"time"

	"github.com/planetlab/monitor/plc"
)

// Keeper is where the fleet is written down, and what is changed there: PLC's own client, or inventory.Own, which
// keeps in Monitor's store what PLC would keep.
type Keeper interface {
	// Snapshot reads all of it.
	Snapshot(ctx context.Context) (plc.Snapshot, error)
	// Node reads one node as it is written down now.
	Node(ctx context.Context, host string) (plc.Node, error)
	Networks(ctx context.Context, host string) ([]plc.Network, error)

	SetBootState(ctx context.Context, host, state string) error
	NodeKey(ctx context.Context, host string) (plc.Secret, error)
	SetNodeKey(ctx context.Context, host string, key plc.Secret) error

	// What sites are denied.
	SiteEnabled(ctx context.Context, site plc.SiteRef) (bool, error)
	SiteUpdated(ctx context.Context, site plc.SiteRef) (enabled bool, updated int, err error)
	SetSiteEnabled(ctx context.Context, site plc.SiteRef, enabled bool) error
	SlicesOfSite(ctx context.Context, site plc.SiteRef) ([]plc.SliceState, error)
	SuspendSlices(ctx context.Context, site plc.SiteRef, names []string) ([]plc.SliceResult, error)
	RestoreSlices(ctx context.Context, site plc.SiteRef, names []string) ([]plc.SliceResult, error)

	// Timeout is how long a write may take whose answer was lost.
	Timeout() time.Duration
}

var (
	_ Keeper = (*plc.Client)(nil)
	_ Keeper = (*Own)(nil)
)

// NoPLC says what takes PLC's place where there is none. Nil: there is PLC.
type NoPLC struct {
	Reinstall *Hook // has a node installed anew; nil: the boot device of its PCU does
	Penalties bool  // a hook applies them; false: nobody is denied anything
}
