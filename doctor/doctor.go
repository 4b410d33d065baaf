// Package doctor tries everything that Monitor needs, as Monitor would use it, and changes nothing. Each finding says what
// was looked at, what was found, and what to do where that is not as it should be.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
)

// State is how something was found.
type State string

// The states, the worse the later.
const (
	Skipped State = "skipped" // it could not be looked at, or is not there to be
	OK      State = "ok"
	Warning State = "warning" // Monitor works, and something should be mended
	Failed  State = "failed"  // Monitor cannot work so
)

// Finding is the outcome of one check.
type Finding struct {
	Name   string `json:"name"` // of the check, as plc.rights
	About  string `json:"about"`
	State  State  `json:"state"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

// Worst is the worst state among findings.
func Worst(list []Finding) State {
	worst := Skipped
	rank := map[State]int{Skipped: 0, OK: 1, Warning: 2, Failed: 3}
	for _, f := range list {
		if rank[f.State] > rank[worst] {
			worst = f.State
		}
	}
	return worst
}

// Options say what to try.
type Options struct {
	Config *config.Config
	Only   []string      // names of checks, or what they begin with; empty: all
	Each   time.Duration // how long one check may take
	Tell   func(Finding) // of each finding, as it comes
	Now    func() time.Time
}

// visit is one run of all checks. What an earlier check has opened serves the later ones.
type visit struct {
	Options
	cfg      *config.Config
	db       *store.Store
	tc       client.Client
	api      *plc.Client
	findings []Finding
}

// check is one look.
type check struct {
	name, about string
	look        func(context.Context, *visit) Finding
}

func checks() []check {
	return []check{
		{"config.files", "the files that the configuration names can be read", files},
		{"config.risks", "no door is open: secrets, listeners, connections", risks},
		{"postgres.answers", "Postgres answers, in a version that will do", postgres},
		{"postgres.tables", "the tables are those of this build", tables},
		{"postgres.rights", "the account may read and write them", rights},
		{"postgres.secrets", "what is sealed opens with the key of today", sealed},
		{"clock", "this machine's clock agrees with that of Postgres", clock},
		{"temporal.answers", "Temporal answers, and has the namespace", temporalAnswers},
		{"temporal.retention", "what has ended stays readable for some days", retention},
		{"temporal.attributes", "issues can be searched by their attributes", attributes},
		{"temporal.schedule", "the fleet is swept", schedule},
		{"temporal.worker", "workers take the tasks", pollers},
		{"worker.ready", "the worker of this machine is ready", workerReady},
		{"web", "the pages for people can be loaded", pages},
		{"inventory", "what the fleet is made of can be read", inventory},
		{"sources", "what others know of nodes can be read", sources},
		{"plc.login", "PLC takes the account", plcLogin},
		{"plc.admin", "the account is an admin: else PLC leaves out what it may not see", plcAdmin},
		{"plc.rights", "each call that Monitor makes is allowed", plcRights},
		{"mail", "the mail server takes us", mail},
		{"rt", "Request Tracker takes the token", tracker},
		{"ssh.production", "each key against nodes in production", sshProduction},
		{"ssh.debug", "each key against nodes in debug mode", sshDebug},
		{"pcus", "a dry run of a few PCUs, each of another model", pcus},
	}
}

// Names are the names of all checks.
func Names() []string {
	var out []string
	for _, c := range checks() {
		out = append(out, c.name)
	}
	return out
}

// Run makes the checks one after the other.
func Run(ctx context.Context, o Options) []Finding {
	v := &visit{Options: o, cfg: o.Config}
	defer v.close()
	for _, c := range checks() {
		if !v.wanted(c.name) {
			continue
		}
		f := v.try(ctx, c)
		v.findings = append(v.findings, f)
		if o.Tell != nil {
			o.Tell(f)
		}
	}
	return v.findings
}

func (v *visit) wanted(name string) bool {
	if len(v.Only) == 0 {
		return true
	}
	for _, only := range v.Only {
		if name == only || strings.HasPrefix(name, only+".") {
			return true
		}
	}
	return false
}

func (v *visit) try(ctx context.Context, c check) Finding {
	ctx, cancel := context.WithTimeout(ctx, v.Each)
	defer cancel()
	f := c.look(ctx, v)
	f.Name, f.About = c.name, c.about
	f.Found, f.Remedy = clean.Text(f.Found), clean.Text(f.Remedy)
	return f
}

func (v *visit) close() {
	if v.db != nil {
		v.db.Close()
	}
	if v.tc != nil {
		v.tc.Close()
	}
}

func found(format string, args ...any) Finding {
	return Finding{State: OK, Found: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) Finding {
	return Finding{State: Skipped, Found: fmt.Sprintf(format, args...)}
}

func warning(remedy, format string, args ...any) Finding {
	return Finding{State: Warning, Found: fmt.Sprintf(format, args...), Remedy: remedy}
}

func failed(remedy, format string, args ...any) Finding {
	return Finding{State: Failed, Found: fmt.Sprintf(format, args...), Remedy: remedy}
}

func files(_ context.Context, v *visit) Finding {
	if err := v.cfg.Files(); err != nil {
		return failed("give this account the right to read it, or name the right file", "%v", err)
	}
	return found("all can be read")
}

func risks(_ context.Context, v *visit) Finding {
	if list := append(v.cfg.Warnings, v.cfg.Risks()...); len(list) > 0 {
		return warning("each line says what to do", "%s", strings.Join(list, "\n"))
	}
	return found("none is known")
}

// store opens Postgres once.
func (v *visit) store(ctx context.Context) (*store.Store, error) {
	if v.db != nil {
		return v.db, nil
	}
	if v.cfg.Database.URL == "" {
		return nil, errors.New("database.url is not set")
	}
	key, err := v.cfg.Secrets.Key()
	if err != nil {
		return nil, err
	}
	old, err := v.cfg.Secrets.OldKeys()
	if err != nil {
		return nil, err
	}
	v.db, err = store.Open(ctx, store.Options{URL: v.cfg.Database.URL.Reveal(), Key: key, OldKeys: old})
	return v.db, err
}

// temporal dials Temporal once.
func (v *visit) temporal(ctx context.Context) (client.Client, error) {
	if v.tc != nil {
		return v.tc, nil
	}
	tc, err := connect.Temporal(ctx, v.cfg.Temporal, slog.New(slog.DiscardHandler), nil)
	if err == nil {
		v.tc = tc
	}
	return tc, err
}

func (v *visit) plc() (*plc.Client, error) {
	if v.api != nil {
		return v.api, nil
	}
	if v.cfg.PLC.URL == "" {
		return nil, errors.New("plc.url is not set")
	}
	api, err := connect.PLC(v.cfg.PLC)
	if err == nil {
		v.api = api
	}
	return api, err
}
