package rig

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/web"
)

// servePages serves the pages from here and not from a worker, so that visitors can break and mend nodes on them, and says
// where.
func (r *Rig) servePages(ctx context.Context, listen string) (string, error) {
	cfg, err := config.Load(config.Options{Path: r.Config, Env: environment()})
	if err != nil {
		return "", err
	}
	cfg.Web.Listen = listen
	log := slog.New(slog.DiscardHandler)
	news := store.NewsOf(r.Store, log)
	pages, place, err := web.Open(cfg, r.Store, news, r.Temporal, nil, log)
	if err != nil {
		return "", err
	}
	pages.Testbed = hands{r.World, r}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until Close
	go news.Run(ctx)
	up, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- pages.Serve(ctx, place, func(at net.Addr) { up <- at }) }()
	select {
	case at := <-up:
		r.unserve = sync.OnceValue(func() error { cancel(); return <-ended })
		return "http://" + at.String(), nil
	case err := <-ended:
		cancel()
		return "", err
	}
}

// servePagesAnew serves them with the configuration as it is now, at the same address.
func (r *Rig) servePagesAnew(ctx context.Context) error {
	if r.unserve == nil {
		return nil
	}
	if err := r.unserve(); err != nil {
		return err
	}
	_, err := r.servePages(ctx, strings.TrimPrefix(r.Pages, "http://"))
	return err
}

// hands are those of the visitors of a demo, in its world.
type hands struct {
	*testbed.World
	rig *Rig
}

// SetDay changes how long a policy day lasts, and answers before the pages are served anew.
func (h hands) SetDay(day time.Duration) error {
	if day < ShortestDay {
		return fmt.Errorf("a policy day lasts %s or more", ShortestDay)
	}
	h.World.SetDay(day)
	go func() {
		if err := h.rig.SetDay(context.Background(), day); err != nil {
			h.rig.say("the length of a policy day was not changed: %v", err)
		}
	}()
	return nil
}

// wrongs are what a visitor may do to a node.
func wrongs() []wrong {
	hung := func(by string) testbed.Fault {
		return testbed.Fault{State: fakenode.Hung, FixedBy: by, Because: "a visitor's doing"}
	}
	return []wrong{
		{"Hang it: a reboot helps", hung(testbed.Reboot)},
		{"Hang it: only a reinstallation helps", hung(testbed.Reinstall)},
		{"Hang it: only a human helps", hung(testbed.Nobody)},
		{"Stop its boot halfway", testbed.Fault{State: fakenode.Debug, FixedBy: testbed.Bootman, Fix: "BootManager.py boot", Because: "a visitor's doing"}},
	}
}

type wrong struct {
	name  string
	fault testbed.Fault
}

// Faults name what Break may do.
func (hands) Faults() (names []string) {
	for _, w := range wrongs() {
		names = append(names, w.name)
	}
	return names
}

// Break does one of Faults to a node.
func (h hands) Break(host, name string) error {
	i := slices.IndexFunc(wrongs(), func(w wrong) bool { return w.name == name })
	if i < 0 {
		return fmt.Errorf("there is no fault %q", name)
	}
	return h.World.Break(host, wrongs()[i].fault)
}
