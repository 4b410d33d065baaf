// Package rig runs the whole product on the testbed: a throw-away Postgres, a Temporal server, a small PlanetLab, and the
// worker as it ships. The demo, the smoke test and the benches stand on it.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/freeport"
	"github.com/planetlab/monitor/testbed/pglocal"
)

// UsualDay is how long a policy day lasts where nobody says.
const UsualDay = 3 * time.Second

// Options say what to run. The zero value of a field is the demo's.
type Options struct {
	Bin    string         // folder of monitor-worker and temporal-dev; that of the running program
	Sites  []testbed.Site // testbed.Fleet()
	Day    time.Duration  // how long a policy day lasts; UsualDay
	UIPort int            // of Temporal's Web UI; a free one
	Pages  string         // host:port of the pages for people, to which mails then have links, and which need no sign-in to look; none
	Policy map[string]any // settings of the section policy, over the defaults
	Probe  map[string]any // settings of the section probe, over the demo's quick ones
	PCU    map[string]any // settings of the section pcu, over the testbed's quick ones
	Log    io.Writer      // progress, one line a step; nowhere

	SweepEvery  string // how often the fleet is looked at; 0.4d
	PLCTimeout  string // of one call; 2m
	Connections int    // that a worker may have to Postgres at once; the driver's default

	Workers int  // how many run at once; 1
	NoRT    bool // people are written to by mail alone
	NoPLC   bool // Monitor knows the fleet from a file
	Wires   bool // lay wires to the servers of the workers, and keep Temporal's state in a file, so that all of it can fail and come back
}

// Rig is a running product on a running testbed.
type Rig struct {
	*testbed.World
	Store    *store.Store
	Temporal client.Client
	Address  string        // of the Temporal frontend
	UI       string        // URL of the Web UI, empty where TEMPORAL_ADDRESS names a server of somebody's own
	Web      string        // URL of the worker's port for machines
	Pages    string        // URL of the pages for people; empty: there are none
	Config   string        // the configuration file, good for every program
	Database string        // URL of the database, without a wire
	Day      time.Duration // how long a policy day lasted at the start

	Workers []*Worker
	Wires   map[string]*testbed.Wire // by the names of Links, if they were laid

	dir      string
	log      io.Writer
	stops    []func() error
	changing sync.Mutex   // held while the length of a day changes
	ends     bool         // no length changes any more
	unserve  func() error // ends the pages; nil: there are none
	postgres *pglocal.Cluster
	temporal func(ctx context.Context,
		lose bool) error // ends the server's process, and starts it again with its state or without
}

// StopWorker lets somebody else serve the worker's queues.
func (r *Rig) StopWorker() {
	for _, w := range r.Workers {
		w.Stop(10 * time.Second)
	}
}

// Start brings everything up, or takes back what it had brought up and says what failed.
func Start(ctx context.Context, o Options) (*Rig, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Sites == nil {
		o.Sites = testbed.Fleet()
	}
	if o.Day == 0 {
		o.Day = UsualDay
	}
	if o.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		o.Bin = filepath.Dir(self)
	}
	r := &Rig{Day: o.Day, log: o.Log}
	if err := r.start(ctx, o); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context, o Options) error {
	var err error
	if r.dir, err = os.MkdirTemp("", "monitor-testbed-"); err != nil {
		return err
	}
	r.stops = append(r.stops, func() error { return os.RemoveAll(r.dir) })
	r.say("starting Postgres")
	pg, err := pglocal.Start(ctx, o.Log)
	if err != nil {
		return err
	}
	r.stops = append(r.stops, pg.Stop)
	r.postgres, r.Database = pg, pg.URL
	r.say("starting Temporal")
	if err := r.startTemporal(ctx, o); err != nil {
		return err
	}
	r.say("starting the testbed: %d sites, their nodes and PCUs, PLC, a mailbox", len(o.Sites))
	root, err := SSHKey(r.dir)
	if err != nil {
		return err
	}
	if r.World, err = testbed.Start(testbed.Options{Sites: o.Sites, BootTime: o.Day / 3, Root: root}); err != nil {
		return err
	}
	r.stops = append(r.stops, func() error { r.World.Close(); return nil })
	settings := Settings{Database: pg.URL, Temporal: r.Address, SMTP: r.Mail.Addr(), Day: o.Day, Policy: o.Policy,
		Probe: o.Probe,
		PCU:   o.PCU, NoRT: o.NoRT, NoPLC: o.NoPLC, SweepEvery: o.SweepEvery, PLCTimeout: o.PLCTimeout}
	if o.Connections > 0 {
		u, err := url.Parse(pg.URL)
		if err != nil {
			return err
		}
		query := u.Query()
		query.Set("pool_max_conns", fmt.Sprint(o.Connections))
		u.RawQuery = query.Encode()
		settings.Database = u.String()
	}
	if o.Wires {
		if err := r.layWires(ctx, &settings); err != nil {
			return err
		}
	}
	for n := range max(o.Workers, 1) {
		listen, err := freeport.Find()
		if err != nil {
			return err
		}
		health, err := freeport.Find()
		if err != nil {
			return err
		}
		r.Workers = append(r.Workers, &Worker{rig: r, bin: o.Bin, listen: listen, health: health, name: fmt.Sprintf("worker%d", n+1)})
	}
	settings.Listen = r.Workers[0].listen
	if o.Pages != "" {
		settings.Public, settings.UI, settings.URL = "full", r.UI, "http://"+o.Pages
	}
	r.Web = "http://" + settings.Listen
	var key []byte
	if r.Config, key, err = Configure(r.dir, r.World, settings); err != nil {
		return err
	}
	if r.Store, err = store.Open(ctx, store.Options{URL: pg.URL, Key: key}); err != nil {
		return err
	}
	r.stops = append(r.stops, func() error { r.Store.Close(); return nil })
	if err := r.Store.Migrate(ctx); err != nil {
		return err
	}
	r.say("starting the worker")
	if err := r.startWorkers(ctx); err != nil {
		return err
	}
	if o.Pages != "" {
		if r.Pages, err = r.servePages(ctx, o.Pages); err != nil {
			return err
		}
		r.stops = append(r.stops, func() error {
			r.changing.Lock() // what changes ends first
			defer r.changing.Unlock()
			r.ends = true
			return r.unserve()
		})
	}
	return r.firstSweep(ctx)
}

func (r *Rig) say(format string, args ...any) { fmt.Fprintf(r.log, format+" ...\n", args...) }

// Close ends everything in the reverse order and removes every file.
func (r *Rig) Close() error {
	var all []error
	for i := len(r.stops) - 1; i >= 0; i-- {
		all = append(all, r.stops[i]())
	}
	r.stops = nil
	return errors.Join(all...)
}

func (r *Rig) startTemporal(ctx context.Context, o Options) error {
	r.Address = os.Getenv("TEMPORAL_ADDRESS")
	if r.Address == "" {
		if err := r.ownTemporal(ctx, o); err != nil {
			return err
		}
	}
	var err error
	r.Temporal, err = client.DialContext(ctx, client.Options{HostPort: r.Address,
		Logger: temporallog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return fmt.Errorf("temporal at %s: %w", r.Address, err)
	}
	r.stops = append(r.stops, func() error { r.Temporal.Close(); return nil })
	return nil
}

// deleteSchedule keeps a server of somebody's own free of our sweeps.
func (r *Rig) deleteSchedule() error {
	if r.UI != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return r.Temporal.ScheduleClient().GetHandle(ctx, activities.SweepType).Delete(ctx)
}

// environment is ours without settings that would lead the worker elsewhere.
func environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !strings.HasPrefix(name, "MONITOR_") && !strings.HasPrefix(name,
			"TEMPORAL_") && name != "DATABASE_URL" {
			env = append(env, kv)
		}
	}
	return env
}

// firstSweep has the fleet seen once, so that what breaks after it is news.
func (r *Rig) firstSweep(ctx context.Context) error {
	schedule := r.Temporal.ScheduleClient().GetHandle(ctx, activities.SweepType)
	if err := waitFor(ctx, nil, 3*time.Minute, func() error { // a worker may answer before it has made the schedule
		return schedule.Trigger(ctx, client.ScheduleTriggerOptions{})
	}); err != nil {
		return fmt.Errorf("first sweep: %w", err)
	}
	triggered := time.Now()
	return waitFor(ctx, nil, 3*time.Minute, func() error {
		if time.Since(triggered) > 15*time.Second { // a busy machine may answer too late to be seen
			triggered = time.Now()
			if err := schedule.Trigger(ctx, client.ScheduleTriggerOptions{}); err != nil {
				return err
			}
		}
		nodes, err := r.Store.Nodes(ctx, 0, 1<<20)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if !n.Record.Status.Healthy() {
				return fmt.Errorf("%s is %q", n.Hostname, n.Record.Status)
			}
		}
		if len(nodes) == 0 {
			return errors.New("no sweep has ended")
		}
		return nil
	})
}

// Key opens the nodes of the testbed.
func (r *Rig) Key() (ssh.Signer, error) {
	text, err := os.ReadFile(filepath.Join(r.dir, "ssh_key"))
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(text)
}

// WorkerLog is the end of what the workers wrote.
func (r *Rig) WorkerLog() string {
	var text string
	for _, w := range r.Workers {
		text += r.tail(w.name + ".log")
	}
	return text
}

func (r *Rig) tail(name string) string {
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		return err.Error()
	}
	if len(text) > 8000 {
		text = text[len(text)-8000:]
	}
	return string(text)
}

// waitFor asks again and again until there is no error; what it last said is part of the failure.
func waitFor(ctx context.Context, ended <-chan struct{}, limit time.Duration, ask func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errors.New("it ended at once")
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %s: %w", limit, err)
		}
	}
}

// WholeLog is all that the workers and Temporal wrote.
func (r *Rig) WholeLog() string {
	var text string
	for _, name := range []string{"worker1", "worker2", "temporal"} {
		if part, err := os.ReadFile(filepath.Join(r.dir, name+".log")); err == nil {
			text += "=== " + name + "\n" + string(part)
		}
	}
	return text
}
