package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/pglocal"
)

// benchStore is a store in a Postgres of its own, which holds a fleet of so many nodes. Drop ends both.
func benchStore(ctx context.Context, out io.Writer, nodes int) (db *store.Store, url string, drop func(), err error) {
	pg, err := pglocal.Start(ctx, out)
	if err != nil {
		return nil, "", nil, err
	}
	drop = func() { _ = pg.Stop() } // nothing is kept
	if db, err = store.Open(ctx, store.Options{URL: pg.URL, Key: make([]byte, 32)}); err != nil {
		drop()
		return nil, "", nil, err
	}
	drop = func() { db.Close(); _ = pg.Stop() }
	if err = db.Migrate(ctx); err == nil {
		fmt.Fprintf(out, "\nfilling a store with %d nodes ...\n", nodes)
		_, err = db.SaveSnapshot(ctx, fleetOf(nodes), true)
	}
	if err != nil {
		drop()
		return nil, "", nil, err
	}
	return db, pg.URL, drop, nil
}

func fleetOf(nodes int) plc.Snapshot {
	snap := plc.Snapshot{Taken: time.Now()}
	for i := range nodes {
		site := 1 + i/nodesOfASite
		if i%nodesOfASite == 0 {
			snap.Sites = append(snap.Sites, plc.Site{SiteID: site, LoginBase: fmt.Sprintf("s%d", site), Name: "a site", Enabled: true})
		}
		snap.Nodes = append(snap.Nodes, plc.Node{NodeID: i + 1, Hostname: fmt.Sprintf("n%d.example", i+1), SiteID: site, BootState: "boot", LastContact: snap.Taken})
		snap.Interfaces = append(snap.Interfaces, plc.Interface{NodeID: i + 1, IP: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), Primary: true})
	}
	return snap
}
