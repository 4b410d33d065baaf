package doctor

import (
	"context"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
)

// inventory reads the fleet where no PLC has it. PLC has checks of its own.
func inventory(ctx context.Context, v *visit) Finding {
	if v.cfg.Inventory.Source == config.InventoryPLC {
		return skipped("PLC has it")
	}
	db, err := v.store(ctx)
	if err != nil {
		return skipped("Postgres does not answer")
	}
	const remedy = "`monitor inventory check` says what is wrong, and where"
	fleet, err := connect.Inventory(v.cfg, db)
	if err != nil {
		return failed(remedy, "%v", err)
	}
	snap, err := fleet.Snapshot(ctx)
	if err != nil {
		return failed(remedy, "%v", err)
	}
	return found("%d sites, %d nodes, %d PCUs", len(snap.Sites), len(snap.Nodes), len(snap.PCUs))
}
