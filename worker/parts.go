package main

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/metrics"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// newActivities opens what the configuration names, and makes the activities of it.
func newActivities(cfg *config.Config, log *slog.Logger, db *store.Store, tc client.Client, tracker *rt.Client,
	hook *notify.Hook, every time.Duration, counted *metrics.Counted) (*activities.Groups, error) {
	fleet, err := connect.Inventory(cfg, db)
	if err != nil {
		return nil, err
	}
	if api, is := fleet.(*plc.Client); is {
		api.Observe(counted.Of(metrics.PLC))
	}
	keys, err := connect.SSHKeys(cfg.Probe)
	if err != nil {
		return nil, err
	}
	boot, err := bootman.New()
	if err != nil {
		return nil, err
	}
	mail, err := newSender(cfg, counted)
	if err != nil {
		return nil, err
	}
	pcus, err := connect.PCUs(cfg.PCU)
	if err != nil {
		return nil, err
	}
	reach, err := activities.NewReach(cfg.PCU.Networks)
	if err != nil {
		return nil, err
	}
	link, err := linkTo(cfg)
	if err != nil {
		return nil, err
	}
	return activities.New(activities.Options{
		Store:    db,
		Temporal: tc,
		Policy:   cfg.Policy.InRealTime(),
		Mode:     cfg.MailMode(),
		Log:      log,

		Inventory:  fleet,
		NoPLC:      connect.NoPLC(cfg.Inventory),
		Cache:      connect.Cache(cfg),
		Prober:     newProber(cfg.Probe, keys, activities.HostKeys{Store: db, Inventory: fleet, From: connect.From(cfg)}),
		OpenPorts:  cfg.Probe.OpenPorts,
		BatchSize:  cfg.Probe.Batch,
		SweepEvery: every,
		Sources: activities.Sources{List: connect.Sources(cfg.Sources), Timeout: cfg.Sources.Timeout,
			Fresh: cfg.Sources.Fresh},
		Rules: activities.Rules{List: cfg.Rules, Groups: cfg.Groups},

		PCUs:       pcus,
		PCUTimeout: cfg.PCU.OperationTimeout,
		PCUConnect: cfg.PCU.ConnectTimeout,
		PCULegacy:  cfg.PCU.Legacy,
		PCUReach:   reach,
		PCUClear:   cfg.PCU.ClearText,
		PCUSaid:    counted.Of(metrics.PCU),

		Bootman: boot,
		Enter:   connect.Entrance(cfg.Probe, keys...),

		Mail:   mail,
		RT:     tracker,
		Hook:   hook,
		TestTo: cfg.Mail.TestAddress,
		Domain: notify.Domain(cfg.Mail.From),
		Admins: cfg.Mail.Admins,
		Pages:  cfg.Mail.Pages,
		Link:   link,
		Probes: cfg.Mail.ProbesFrom,
	}), nil
}

// newProber looks at nodes. A node may show a new host key where PLC says why.
func newProber(p config.Probe, keys []ssh.Signer, known activities.HostKeys) *probe.Prober {
	return probe.New(probe.Options{
		SSHUser:    p.SSHUser,
		SSHKeys:    keys,
		SSHPorts:   p.SSHPorts,
		Ports:      p.OpenPorts,
		Facts:      facts(p.Facts),
		BootServer: p.BootServer,
		PortMap:    p.PortMap,
		Timeout:    p.Timeout,
		Tries:      p.Tries,
		Parallel:   p.Parallel,
		Resolver:   p.Resolver,
		Ping:       p.Ping,
		HostKeys:   &probe.HostKeys{Believe: known.Check},
	})
}

// facts are those of the configuration, by name: a look asks for them in the same order each time.
func facts(commands map[string]string) (list []probe.Fact) {
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		list = append(list, probe.Fact{Name: name, Command: commands[name]})
	}
	return list
}

func newSender(cfg *config.Config, counted *metrics.Counted) (*notify.Sender, error) {
	tls, err := cfg.Mail.TLSConfig()
	if err != nil {
		return nil, err
	}
	return notify.NewSender(notify.Options{
		Addr:        cfg.Mail.SMTP,
		From:        cfg.Mail.From,
		ReplyTo:     cfg.Mail.ReplyTo,
		Username:    cfg.Mail.Username,
		Password:    cfg.Mail.Password.Reveal(),
		TLS:         cfg.Mail.TLS,
		TLSConfig:   tls,
		Mode:        cfg.MailMode(),
		TestAddress: cfg.Mail.TestAddress,
		Timeout:     cfg.Mail.Timeout,
		Observe:     counted.Of(metrics.SMTP),
	})
}

// channels opens what else people are told through. In observe mode nothing leaves, and so there is no webhook.
func channels(cfg *config.Config, log *slog.Logger, counted *metrics.Counted) (*rt.Client, *notify.Hook, error) {
	var tracker *rt.Client
	var hook *notify.Hook
	if c := cfg.RT; c.URL != "" {
		tls, err := c.TLSConfig()
		if err != nil {
			return nil, nil, err
		}
		if tracker, err = rt.New(rt.Options{URL: c.URL, Token: c.Token.Reveal(), Queue: c.Queue, Timeout: c.Timeout,
			Transport: counted.Transport(metrics.RT, rt.Transport(tls))}); err != nil {
			return nil, nil, err
		}
	}
	if c := cfg.Webhook; c.URL != "" && cfg.Mode != config.ModeObserve {
		var err error
		if hook, err = notify.NewHook(notify.HookOptions{URL: c.URL.Reveal(), Key: c.Key.Reveal(), Timeout: c.Timeout,
			Log: log}); err != nil {
			return nil, nil, err
		}
	}
	return tracker, hook, nil
}
