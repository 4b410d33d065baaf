package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// agendaView is all that comes if nothing changes.
type agendaView struct {
	Until  time.Time    `json:"until"`
	Steps  []agendaStep `json:"steps"`            // by time
	Vetoed []agendaStep `json:"vetoed"`           // what operators will not have
	Paused []agendaStep `json:"paused"`           // of what nothing comes until somebody resumes it
	Open   []string     `json:"unread,omitempty"` // issues that could not be read
}

// agendaStep is one coming act. Each is asked of the gate again when its time has come.
type agendaStep struct {
	At     time.Time `json:"at,omitzero"` // not before
	Site   string    `json:"site"`
	Issue  string    `json:"issue,omitempty"` // empty: of the site
	Step   int       `json:"step,omitempty"`  // for issue veto
	What   string    `json:"what"`
	Waits  string    `json:"waits,omitempty"` // why it did not come already
	Reason string    `json:"reason,omitempty"`
}

func (a *app) agenda() *cobra.Command {
	var login, ahead string
	cmd := &cobra.Command{
		Use: "agenda", Short: "List every coming act of the fleet, in order of time", Args: takes(),
		Long: `List every coming act of the fleet, in order of time: what each open issue does next and after that, and when sites are
penalised, if nothing changes. Each is asked of the gate again when its time has come: "monitor why-not" shows how that
would answer now. A step can be vetoed: "monitor issue veto ISSUE STEP".`,
		Example: `  monitor agenda
  monitor agenda --site princeton --for 8w
  monitor agenda -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			policyTime, err := config.ParsePolicyTime(ahead)
			if err != nil {
				return badInput("--for: %w", err)
			}
			cfg, err := a.config()
			if err != nil {
				return err
			}
			until := a.now().Add(cfg.Policy.RealTime(policyTime)).UTC()
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				if err := knownSite(ctx, db, login); err != nil {
					return err
				}
				v, err := a.readAgenda(ctx, db, login, until)
				if err != nil {
					return err
				}
				return a.show(v, func() { a.drawAgenda(v) })
			})
		},
	}
	cmd.Flags().StringVar(&login, "site", "", "only of the site with this `login_base`")
	cmd.Flags().StringVar(&ahead, "for", "28d", "how far to look `ahead`, in policy time such as 3d, 4w")
	_ = cmd.RegisterFlagCompletionFunc("site", a.complete(siteNames))
	return cmd
}

func (a *app) readAgenda(ctx context.Context, db *store.Store, login string, until time.Time) (agendaView, error) {
	v := agendaView{Until: until, Steps: []agendaStep{}, Vetoed: []agendaStep{}, Paused: []agendaStep{}}
	open, err := db.Issues(ctx, store.IssueFilter{Open: true, Site: login, Limit: everything})
	if err != nil {
		return v, err
	}
	sites := map[string]bool{}
	for _, i := range open {
		sites[i.Site] = true
		memory, err := i.Memory()
		if err != nil || len(memory.Ladder.Rungs) == 0 { // an issue whose workflow has not said yet where it stands
			v.Open = append(v.Open, i.ID)
			continue
		}
		v.take(memory)
	}
	if len(sites) > 0 {
		a.takeSites(ctx, sites, &v)
	}
	v.Steps = slices.DeleteFunc(v.Steps, func(s agendaStep) bool { return s.At.After(until) })
	slices.SortStableFunc(v.Steps, func(x, y agendaStep) int {
		if c := x.At.Compare(y.At); c != 0 {
			return c
		}
		return strings.Compare(x.Site+x.Issue, y.Site+y.Issue)
	})
	return v, nil
}

// take adds what comes of an issue.
func (v *agendaView) take(s issue.State) {
	id, login := s.Ref.ID, s.Ref.Site
	if !s.RecoveredAt.IsZero() {
		what, at := s.NextAt()
		v.Steps = append(v.Steps, agendaStep{At: at.UTC(), Site: login, Issue: id, What: what})
		return
	}
	for i, c := range s.Coming() {
		step := agendaStep{At: c.At.UTC(), Site: login, Issue: id, Step: c.Step, What: s.Ladder.Rungs[c.Step-1].String()}
		if i == 0 && s.Blocked != nil {
			step.Waits = s.Blocked.Reason
		}
		v.Steps = append(v.Steps, step)
	}
	for _, veto := range s.Vetoes {
		v.Vetoed = append(v.Vetoed, agendaStep{Site: login, Issue: id, Step: veto.Step, What: s.Ladder.Rungs[veto.Step-1].String(), Reason: veto.String()})
	}
	if p := s.Pause; p != nil && p.Until.IsZero() {
		v.Paused = append(v.Paused, agendaStep{Site: login, Issue: id, What: s.NextRung().String(), Reason: p.String()})
	}
}

// takeSites adds the penalties that come, which each site's own workflow knows.
func (a *app) takeSites(ctx context.Context, sites map[string]bool, v *agendaView) {
	tc, err := a.openTemporal(ctx)
	if err != nil {
		a.warn("coming penalties are not shown: %v", err)
		return
	}
	defer tc.Close()
	for _, login := range slices.Sorted(maps.Keys(sites)) {
		s, err := a.askSiteSoon(ctx, tc, login)
		if errors.Is(err, errNoWorkflow) {
			continue
		}
		if err != nil {
			a.warn("coming penalties of %s are not shown: %v", login, err)
			return
		}
		for _, c := range s.Coming(a.now()) {
			if c.What == site.ComesStep || c.What == site.ComesResume {
				v.Steps = append(v.Steps, agendaStep{At: c.At.UTC(), Site: login, What: comingOfSite(c)})
			}
		}
	}
}

func (a *app) askSiteSoon(ctx context.Context, tc client.Client, login string) (site.State, error) {
	ctx, cancel := context.WithTimeout(ctx, patience/3)
	defer cancel()
	return askSite(ctx, tc, login)
}

func comingOfSite(c site.Coming) string {
	if c.What == site.ComesResume {
		return "the pause of its penalty ends"
	}
	return fmt.Sprintf("penalty level %d, for %s", c.Level, strings.Join(c.Targets, ", "))
}

func (a *app) drawAgenda(v agendaView) {
	var rows, vetoed []row
	for _, s := range v.Steps {
		rows = append(rows, row{s.At, s.Site, orDash(s.Issue), stepNumber(s.Step), s.What, orDash(s.Waits)})
	}
	a.table("nothing comes until "+a.when(v.Until), row{"NOT BEFORE", "SITE", "ISSUE", "STEP", "WHAT", "WAITS"}, rows)
	for _, s := range append(slices.Clone(v.Vetoed), v.Paused...) {
		vetoed = append(vetoed, row{s.Site, s.Issue, stepNumber(s.Step), s.What, s.Reason})
	}
	if len(vetoed) > 0 {
		a.heading("vetoed, or paused until somebody resumes it")
		a.table("", row{"SITE", "ISSUE", "STEP", "WHAT", "WHY"}, vetoed)
	}
	if len(v.Open) > 0 {
		a.warn("of %d open issues nobody knows yet what comes: %s", len(v.Open), strings.Join(v.Open, ", "))
	}
}

func stepNumber(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// issueVeto is for both a veto and its end, which take a step beside the issue.
func (a *app) issueVeto(name issue.Order, short, example string) *cobra.Command {
	var c issue.Command
	cmd := &cobra.Command{
		Use: string(name) + " ID STEP", Short: short, Example: example, Args: takes("ID", "STEP"), ValidArgsFunction: a.complete(openIssues),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkID(args[0]); err != nil {
				return err
			}
			var err error
			if c.Step, err = strconv.Atoi(args[1]); err != nil || c.Step < 1 {
				return badInput("%q is no step: write its number, as `monitor agenda` shows it", args[1])
			}
			if c.By == "" {
				c.By = operator()
			}
			return a.give(cmd.Context(), args[0], string(name), c)
		},
	}
	cmd.Flags().StringVar(&c.Reason, "reason", "", "`why`; it stands in the issue's story")
	cmd.Flags().StringVar(&c.By, "by", "", "`who` gives the order (default $USER)")
	return cmd
}
