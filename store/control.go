package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/policy"
)

// Control is an order that holds for the whole fleet: the master switch, or the mode.
type Control struct {
	Name   string    `json:"name"`
	Value  string    `json:"value"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // when the order ends by itself; zero: never
}

// Over reports whether an order has ended by itself.
func (c Control) Over(now time.Time) bool { return !c.Until.IsZero() && !c.Until.After(now) }

// The names of controls.
const (
	ControlStop = "stop" // value: "stopped"; no row: Monitor may act
	ControlMode = "mode" // value: a policy.Mode, which narrows the configuration's

	// ControlPenalty is the penalty level that a site is to have by an operator's word, by ControlOf; value: the level.
	ControlPenalty = "penalty"

	ControlConfigured = "configured" // value: the policy.Mode of the worker that started last; no order
)

// Controls are the orders in force, by name.
type Controls map[string]Control

// ControlOf is the name of an order that holds only for a part of the fleet: "mode/site/princeton",
// "mode/type/nodedown".
func ControlOf(name, kind, part string) string { return name + "/" + kind + "/" + part }

// The parts of the fleet for which a mode may be ordered.
const (
	PartSite = "site"
	PartType = "type"
)

// Stopped says who stopped Monitor, when and why; empty: nobody.
func (c Controls) Stopped() string {
	stop, stopped := c[ControlStop]
	if !stopped {
		return ""
	}
	return stop.says()
}

// says is why an order was given, by whom and when.
func (c Control) says() string {
	reason := c.Reason
	if reason == "" {
		reason = "no reason given"
	}
	return fmt.Sprintf("%s (%s, since %s)", reason, cmp.Or(c.By, "nobody named"), c.At.UTC().Format(time.RFC3339))
}

// Mode is what Monitor may do at a site for a type of issue, either of which may be empty: the narrowest of what is
// configured and of what was ordered for the fleet, the site and the type. It also says where a narrower mode than act
// comes from.
func (c Controls) Mode(configured policy.Mode, site, issueType string) (policy.Mode, string) {
	if configured != policy.ModeAct {
		return policy.ModeObserve, "configured so, or no worker has started yet"
	}
	for _, name := range []string{ControlMode, ControlOf(ControlMode, PartSite, site),
		ControlOf(ControlMode, PartType, issueType)} {
		if o, ordered := c[name]; ordered && policy.Narrowest(policy.Mode(o.Value)) != policy.ModeAct {
			part := cmp.Or(strings.TrimPrefix(strings.TrimPrefix(name, ControlMode), "/"), "fleet")
			return policy.ModeObserve, part + ": " + o.says()
		}
	}
	return policy.ModeAct, ""
}

// Configured is the mode that the worker which started last is configured for; nobody may act before one has.
func (c Controls) Configured() policy.Mode {
	return policy.Narrowest(policy.Mode(c[ControlConfigured].Value))
}

// SayConfigured writes down what a worker that starts is configured for, for those who ask without its configuration.
func (s *Store) SayConfigured(ctx context.Context, mode policy.Mode, worker string) error {
	_, err := s.pool.Exec(ctx, `insert into control (name, value, by, reason) values ($1,$2,$3,'')
		on conflict (name) do update set value=$2, by=$3, at=now()`, ControlConfigured, mode, worker)
	if err != nil {
		return fmt.Errorf("control %s: %w", ControlConfigured, err)
	}
	return nil
}

const controlSQL = `select name, value, by, reason, at, coalesce(until, ` + epoch + `) until from control `

// Controls reads what is ordered.
func (s *Store) Controls(ctx context.Context) (Controls, error) {
	list, err := many[Control](ctx, s, "controls", controlSQL+`order by name`)
	byName := Controls{}
	for _, c := range list {
		byName[c.Name] = c
	}
	return byName, err
}

// SetControl orders something; an empty value takes the order back. Both go into the ledger.
func (s *Store) SetControl(ctx context.Context, c Control) error {
	if (c.Name == ControlMode || strings.HasPrefix(c.Name, ControlMode+"/")) && c.Value != "" {
		if _, err := policy.ParseMode(c.Value); err != nil {
			return err
		}
	}
	data, err := json.Marshal(map[string]string{"name": c.Name, "value": c.Value, "by": c.By})
	if err != nil {
		return err
	}
	_, _, err = s.Order(ctx, Action{Key: orderKey(c.Name), Reason: c.Reason, Data: data, Detail: c.Name + " " + c.Value},
		PutControl(c))
	return err
}

// OperatorClosed is an issue that an operator closed though its target is bad: sweeps leave it alone until the target
// was good once.
type OperatorClosed struct {
	Issue  string    `json:"issue"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// LeaveClosed keeps an operator's close.
func (s *Store) LeaveClosed(ctx context.Context, o OperatorClosed) error {
	_, err := s.pool.Exec(ctx, `insert into closed_by_operator (issue, by, reason) values ($1,$2,$3) on conflict (issue)
		do update set by=$2, reason=$3, at=now()`, o.Issue, o.By, o.Reason)
	if err != nil {
		return fmt.Errorf("close of %s: %w", o.Issue, err)
	}
	return nil
}

// LeftClosed reads which issues operators closed, by issue id.
func (s *Store) LeftClosed(ctx context.Context) (map[string]OperatorClosed, error) {
	list, err := many[OperatorClosed](ctx, s, "issues closed by operators",
		`select issue, by, reason, at from closed_by_operator`)
	byIssue := map[string]OperatorClosed{}
	for _, o := range list {
		byIssue[o.Issue] = o
	}
	return byIssue, err
}

// MayReopen ends an operator's close: the target was good, or somebody opened the issue by hand.
func (s *Store) MayReopen(ctx context.Context, issue string) error {
	_, err := s.pool.Exec(ctx, `delete from closed_by_operator where issue = $1`, issue)
	if err != nil {
		return fmt.Errorf("close of %s: %w", issue, err)
	}
	return nil
}
