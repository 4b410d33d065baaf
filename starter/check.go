package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

const checkCommand = "check"

const checkAbout = `Answer as a plug-in of Nagios, and of all that run such: one line with performance data, and the exit codes 0 for OK, 1 for
WARNING, 2 for CRITICAL and 3 for UNKNOWN. It goes by Monitor's own records, so that nothing is looked at twice. What is older than
--max-age, and whatever keeps it from knowing, is UNKNOWN, and never OK.`

func (a *app) check() *cobra.Command {
	cmd := group(checkCommand, "Answer as a plug-in of Nagios about a node, a site, a PCU or PLC", `  monitor check node planetlab1.example.edu
  monitor check plc`)
	cmd.Long = checkAbout
	cmd.RunE = func(*cobra.Command, []string) error {
		return badInput("say what to check: node, site, pcu or plc")
	}
	cmd.AddCommand(
		a.checkOne("node", "HOST", "a node", "planetlab1.example.edu", hostNames, a.checkNode),
		a.checkOne("site", "LOGIN_BASE", "a site", "princeton", siteNames, a.checkSite),
		a.checkOne("pcu", "NAME", "a PCU", "pcu1.example.edu", pcuNames, a.checkPCU),
		a.checkPLC(),
	)
	return cmd
}

// checkPatience is how long a check takes at most: those who run plug-ins stop them after ten seconds.
const checkPatience = 9 * time.Second

// unhealthy ends a command that has printed its answer.
type unhealthy struct{ answers.Check }

func (u unhealthy) Error() string { return u.Line() }

// checkOf says of what a command is a check.
func checkOf(cmd *cobra.Command) (of string, is bool) {
	switch {
	case cmd.Name() == checkCommand && cmd.HasParent() && !cmd.Parent().HasParent():
		return "monitor", true
	case cmd.HasParent() && cmd.Parent().Name() == checkCommand && !cmd.Parent().Parent().HasParent():
		return cmd.Name(), true
	}
	return "", false
}

// checkEnds is the exit code of a check that is not OK. Whatever kept it from its answer is one, too.
func (a *app) checkEnds(ctx context.Context, of string, err error) int {
	var answered unhealthy
	if errors.As(err, &answered) {
		return answered.Code
	}
	c := answers.CheckFailed(of, "", errors.New(explain(ctx, err)))
	fmt.Fprintln(a.out, c.Line())
	return c.Code
}

// tell prints the answer of a check.
func (a *app) tell(c answers.Check) error {
	err := a.show(c, func() { a.say("%s", c.Line()) })
	if err == nil && c.Health != answers.HealthOK {
		err = unhealthy{c}
	}
	return err
}

// checkFlags are how old the records may be.
type checkFlags struct{ maxAge time.Duration }

func (f *checkFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.maxAge, "max-age", 0, "how `old` what it goes by may be (default two intervals of sweeps)")
}

// clock is the time of a check. Over the API the interval of the server is not known, and the usual one is taken.
func (f *checkFlags) clock(a *app) (answers.Clock, error) {
	cfg, err := a.config()
	if err != nil {
		return answers.Clock{}, err
	}
	if f.maxAge < 0 {
		return answers.Clock{}, badInput("--max-age must not be negative")
	}
	age := f.maxAge
	if age == 0 {
		age = 2 * cfg.Policy.RealTime(cfg.Sweep.Every)
	}
	return answers.Clock{Now: a.now(), MaxAge: age}, nil
}

// records are where a check reads: one of them is nil.
type records struct {
	db  *store.Store
	api *apiServer
}

// checking reads records, and how the last sweeps went.
func (a *app) checking(ctx context.Context, f *checkFlags,
	ask func(ctx context.Context, r records, b answers.Belief, c answers.Clock) (answers.Check, error)) error {
	c, err := f.clock(a)
	if err != nil {
		return err
	}
	ctx, cancel := a.within(ctx, checkPatience)
	defer cancel()
	answer := func(ctx context.Context, r records) error {
		b, err := beliefOf(ctx, r)
		if err != nil {
			return err
		}
		v, err := ask(ctx, r, b, c)
		if err != nil {
			return err
		}
		return a.tell(v)
	}
	if done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		return answer(ctx, records{api: r})
	}); done {
		return err
	}
	return a.withStore(ctx, func(ctx context.Context, db *store.Store) error { return answer(ctx, records{db: db}) })
}

// beliefOf reads when a sweep was last believed. Whoever may not read that of the whole fleet goes by looks alone.
func beliefOf(ctx context.Context, r records) (b answers.Belief, err error) {
	if r.db != nil {
		b.Known = true
		b.Believed, b.Doubt, err = r.db.LastBelieved(ctx)
		return b, err
	}
	var v answers.Status
	err = r.api.get(ctx, "/status", nil, &v)
	if orders.KindOf(err) == orders.Forbidden {
		return b, nil
	}
	if b.Known = true; v.Sweep != nil {
		b.Believed, b.Doubt = v.Sweep.Believed, v.Sweep.Doubt
	}
	return b, err
}

func (a *app) checkOne(of, argument, what, example string, names lister, ask func(ctx context.Context, r records, name string,
	b answers.Belief, c answers.Clock) (answers.Check, error)) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use: of + " " + argument, Short: "Answer about " + what, Args: takes(argument), ValidArgsFunction: a.complete(names),
		Long:    "Answer about " + what + ".\n\n" + checkAbout,
		Example: "  monitor check " + of + " " + example + "\n  monitor check " + of + " " + example + " --max-age 2h",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.checking(cmd.Context(), &f, func(ctx context.Context, r records, b answers.Belief, c answers.Clock) (answers.Check, error) {
				return ask(ctx, r, args[0], b, c)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) checkNode(ctx context.Context, r records, name string, b answers.Belief, c answers.Clock) (answers.Check, error) {
	var v answers.Node
	var err error
	if r.db != nil {
		v, err = answers.ReadNode(ctx, r.db, name, c.Now)
	} else {
		err = r.api.get(ctx, pathOf("nodes", name), nil, &v)
	}
	return answers.CheckNode(v, b, c), err
}

func (a *app) checkSite(ctx context.Context, r records, name string, b answers.Belief, c answers.Clock) (answers.Check, error) {
	var v answers.Site
	var err error
	if r.db != nil {
		v, err = answers.ReadSite(ctx, r.db, name, c.Now)
	} else {
		err = r.api.get(ctx, pathOf("sites", name), nil, &v)
	}
	return answers.CheckSite(v, b, c), err
}

func (a *app) checkPCU(ctx context.Context, r records, name string, b answers.Belief, c answers.Clock) (answers.Check, error) {
	var rows []selection.PCU
	var err error
	if r.db != nil {
		rows, _, err = r.db.PCURows(ctx)
	} else {
		rows, err = rowsOf[selection.PCU](ctx, r.api, "/pcus", url.Values{"filter": {`name == "` + escaped(name) + `"`}}, 0)
	}
	if err != nil {
		return answers.Check{}, err
	}
	i := slices.IndexFunc(rows, func(p selection.PCU) bool { return p.Name == name })
	if i < 0 {
		return answers.Check{}, notFound("no PCU %s is known: see `monitor query pcus`", name)
	}
	return answers.CheckPCU(rows[i], b, c), nil
}

func (a *app) checkPLC() *cobra.Command {
	var f checkFlags
	var recorded bool
	cmd := &cobra.Command{
		Use: "plc", Short: "Answer about PLC", Args: takes(),
		Long: "Answer about PLC: with Monitor's own configuration it is asked whether it takes the account and its role; over the API, with\n" +
			"--recorded and where there is no PLC, it is what the last sweep found.\n\n" + checkAbout,
		Example: "  monitor check plc\n  monitor check plc --recorded --max-age 2h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			if r == nil && !recorded && cfg.Inventory.Source == config.InventoryPLC {
				return a.askPLC(cmd.Context())
			}
			return a.checking(cmd.Context(), &f, func(_ context.Context, _ records, b answers.Belief, c answers.Clock) (answers.Check, error) {
				return answers.CheckPLC(b, c), nil
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&recorded, "recorded", false, "do not ask PLC: what did the last sweep find?")
	return cmd
}

// askPLC asks PLC whether Monitor may work with it.
func (a *app) askPLC(ctx context.Context) error {
	cfg, err := a.config("plc")
	if err != nil {
		return err
	}
	client, err := connect.PLC(cfg.PLC)
	if err != nil {
		return err
	}
	ctx, cancel := a.within(ctx, checkPatience)
	defer cancel()
	began := time.Now()
	roles, err := client.Roles(ctx)
	c := answers.Check{Of: "plc", Text: "takes the account of Monitor", Performance: []string{
		fmt.Sprintf("time=%.3fs;;%.0f;0", time.Since(began).Seconds(), checkPatience.Seconds())}}
	switch {
	case errors.Is(err, plc.ErrUnavailable), errors.Is(err, plc.ErrAuth), errors.Is(err, plc.ErrNotXMLRPC), errors.Is(err, plc.ErrRedirected),
		errors.Is(err, plc.ErrNotFound), errors.Is(err, plc.ErrPermission):
		c.Health, c.Text = answers.HealthCritical, err.Error()
	case err != nil:
		return err
	case !slices.Contains(roles, "admin"):
		c.Health, c.Text = answers.HealthCritical, plc.ErrNotAdmin.Error()
	}
	c.Code = int(c.Health)
	return a.tell(c)
}
