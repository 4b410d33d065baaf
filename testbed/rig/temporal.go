package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/planetlab/monitor/testbed/freeport"
)

// ownTemporal starts a Temporal server that ends with us. Where it is to be restarted its state is in a file, and its
// port is kept.
func (r *Rig) ownTemporal(ctx context.Context, o Options) error {
	ready := filepath.Join(r.dir, "temporal.json")
	args := []string{"--ready-file", ready, "--exit-with-stdin", "--ui-port", fmt.Sprint(o.UIPort)}
	port := "0" // any
	if o.Wires {
		args = append(args, "--db-filename", filepath.Join(r.dir, "temporal.db"))
	}
	var c *child
	stop := func() error { return nil }
	start := func(ctx context.Context) error {
		_ = os.Remove(ready)
		cmd := exec.Command(filepath.Join(o.Bin, "temporal-dev"), append(args, "--port", port)...)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		if c, err = r.spawn(cmd, "temporal.log"); err != nil {
			return err
		}
		stop = func() error { c.stop(stdin.Close, 10*time.Second); return nil }
		var where struct{ Address, UI string }
		err = waitFor(ctx, c.ended, time.Minute, func() error {
			text, err := os.ReadFile(ready)
			if err != nil {
				return err
			}
			return json.Unmarshal(text, &where)
		})
		if err != nil {
			return fmt.Errorf("temporal-dev: %w\n%s", err, r.tail("temporal.log"))
		}
		r.Address, r.UI = where.Address, where.UI
		return nil
	}
	r.stops = append(r.stops, func() error { return stop() })
	r.temporal = func(ctx context.Context, lose bool) error {
		_ = c.process.Kill()
		<-c.ended
		if lose {
			files, err := filepath.Glob(filepath.Join(r.dir, "temporal.db*"))
			if err != nil {
				return err
			}
			for _, f := range files {
				if err := os.Remove(f); err != nil {
					return err
				}
			}
		}
		return start(ctx)
	}
	if !o.Wires {
		return start(ctx)
	}
	for range 5 { // a port that was free a moment ago may be somebody else's by now
		address, err := freeport.Find()
		if err != nil {
			return err
		}
		if _, port, err = net.SplitHostPort(address); err != nil {
			return err
		}
		if err = start(ctx); err == nil || !strings.Contains(r.tail("temporal.log"), "address already in use") {
			return err
		}
	}
	return errors.New("temporal-dev finds its port taken again and again: run fewer tests at once")
}

// RestartTemporal kills the Temporal server and brings it up again with what it had written down.
func (r *Rig) RestartTemporal(ctx context.Context) error { return r.restartTemporal(ctx, false) }

// LoseTemporal kills the Temporal server and brings it up again without anything: no workflow, no schedule, no search
// attribute is left.
func (r *Rig) LoseTemporal(ctx context.Context) error { return r.restartTemporal(ctx, true) }

func (r *Rig) restartTemporal(ctx context.Context, lose bool) error {
	if r.temporal == nil || r.Wires == nil {
		return errors.New("this Temporal server is not restarted: it is somebody else's, or keeps its state in memory")
	}
	return r.temporal(ctx, lose)
}

// RestartPostgres restarts Postgres, where it is to crash without a checkpoint.
func (r *Rig) RestartPostgres(ctx context.Context, crash bool) error {
	return r.postgres.Restart(ctx, crash)
}

// BackUpPostgres keeps the database as it is now; restore puts that in its place.
func (r *Rig) BackUpPostgres() (restore func(context.Context) error, err error) {
	file, err := r.postgres.Backup()
	return func(ctx context.Context) error { return r.postgres.Restore(ctx, file) }, err
}
