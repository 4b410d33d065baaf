// Package orders is where people give orders to Monitor: one function for each, which the command line, the API, the
// pages and the links in mails use alike. Each asks access/ whether this person may, demands a reason where others will
// ask for one, can say beforehand what it would do, and writes down who ordered what, from where and why.
//
// An order carries a key, which names its line of the ledger. What comes again under the same key is not carried out
// again: an order that changes rows is written in one transaction with its line, and one to a workflow is an Update whose
// id is the key.
package orders

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/store"
)

// Desk is where orders are given.
type Desk struct {
	Store    *store.Store
	Temporal client.Client // nil: only orders that ask no workflow can be given
	Now      func() time.Time
}

// Order is what every order carries beside its own words.
type Order struct {
	Who    access.Who
	Reason string
	Key    string // the giver's own name for this one order; empty: every call is another order
	DryRun bool   // say what it would do, and do nothing
}

// by is who gives an order, as the ledger and timelines name him.
func (o Order) by() string { return clean.Line(o.Who.String()) }

func (o Order) reason() string { return clean.Line(strings.TrimSpace(o.Reason)) }

// Receipt is what the giver of an order is told, beside what it led to.
type Receipt struct {
	Key     string      `json:"key,omitempty"` // of its line in the ledger; empty: it was not given
	Verb    access.Verb `json:"verb"`
	Target  string      `json:"target,omitempty"`
	Site    string      `json:"site,omitempty"`
	Does    string      `json:"does"` // in words
	DryRun  bool        `json:"dry_run,omitempty"`
	Refused string      `json:"refused,omitempty"` // of a dry run: why it would be refused
	Before  bool        `json:"before,omitempty"`  // it was given before under this key, and not now
	Run     string      `json:"run_id,omitempty"`  // of the workflow that took it
	Note    string      `json:"note,omitempty"`    // what else is to be known, such as that it changed nothing
}

// act is one kind of order, ready to be given: either it changes rows, or it does something that takes its key only
// once.
type act struct {
	verb access.Verb
	site string // where the giver must be allowed to; empty: the fleet

	target, issue, node string // what it is about
	pcu                 int
	does                string
	why                 string         // who will ask for the reason; empty: it may be missing
	words               map[string]any // what else the order says; the same key with other words is another order

	check  func(ctx context.Context) error // whether it would be refused; nil: never
	effect store.Effect
	do     func(ctx context.Context, key string) (note string, err error)
}

// give carries out an order, or says what it would do.
func (d Desk) give(ctx context.Context, o Order, a act) (Receipt, error) {
	r := Receipt{Verb: a.verb, Target: a.target, Site: a.site, Does: a.does, DryRun: o.DryRun}
	if err := access.Check(o.Who, a.verb, a.site); err != nil {
		return r, &Error{Forbidden, err}
	}
	if a.why != "" && o.reason() == "" {
		return r, &Error{Invalid, fmt.Errorf("%w: %s", ErrNoReason, a.why)}
	}
	if a.check != nil {
		err := a.check(ctx)
		if o.DryRun && KindOf(err) == Refused {
			r.Refused, err = err.Error(), nil
		}
		if err != nil {
			return r, err
		}
	}
	if o.DryRun {
		return r, nil
	}
	line, err := d.line(o, a)
	if err != nil {
		return r, err
	}
	r.Key = line.Key
	if a.effect != nil {
		stored, existed, err := d.Store.Order(ctx, line, a.effect)
		if err != nil {
			return r, err
		}
		r.Before = existed
		return r, sameOrder(stored, line)
	}
	return d.ask(ctx, r, line, a.do)
}

// ask has an order carried out by a workflow: intent before, outcome after.
func (d Desk) ask(ctx context.Context, r Receipt, line store.Action,
	do func(ctx context.Context, key string) (string, error)) (Receipt, error) {
	stored, existed, err := d.Store.Intent(ctx, line)
	if err == nil {
		err = sameOrder(stored, line)
	}
	if err != nil {
		return r, err
	}
	r.Before = existed
	if stored, err = d.commit(ctx, stored); err != nil {
		return r, err
	}
	switch stored.Outcome {
	case store.Done:
		if stored.Detail != line.Detail {
			r.Note = stored.Detail
		}
		return r, nil
	case store.Refused, store.Failed:
		return r, &Error{Refused, errors.New(stored.Detail)}
	}
	note, err := do(ctx, line.Key)
	if errors.Is(err, errGoesOn) { // whoever carries it out writes what becomes of it
		r.Before = true
		return r, nil
	}
	outcome, detail := store.Done, cmp.Or(note, line.Detail)
	switch KindOf(err) {
	case "":
	case Refused, NotFound, Invalid:
		outcome, detail = store.Refused, err.Error()
	case Silent:
		outcome, detail = store.Ambiguous, err.Error()
		if errors.Is(err, errNoTemporal) {
			outcome = store.Failed
		}
	default: // it may yet be carried out, and the same key asks again
		outcome, detail = store.Ambiguous, err.Error()
	}
	// the giver may have gone; what became of the order is written all the same
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if settled := d.Store.Outcome(ctx, line.Key, outcome, clean.Line(detail)); err == nil {
		err = settled
	}
	r.Note = note
	return r, err
}

// commit marks that an order is carried out from now on, and answers with its line as it stands: one whose giver was held
// up for long may have been given up meanwhile.
func (d Desk) commit(ctx context.Context, line store.Action) (store.Action, error) {
	if line.Begun() || line.Outcome != "" {
		return line, nil
	}
	mine, err := d.Store.Commit(ctx, line.Key)
	if err != nil || mine {
		return line, err
	}
	return d.Store.Action(ctx, line.Key)
}

// keyed is the ledger's key of an order that has a key of its own, which is its giver's alone.
func (o Order) keyed() string { return "order/" + o.Who.Account + "/" + o.Key }

// line is the ledger's line of an order: what it is about and says, who gave it, from where and why.
func (d Desk) line(o Order, a act) (store.Action, error) {
	key := fmt.Sprintf("order/%s/%s/%d", a.verb, a.target, time.Now().UnixNano())
	if o.Key != "" {
		key = o.keyed()
	}
	if !clean.Is(key, clean.MaxLine) {
		return store.Action{}, invalid("the key of the order is too long, or has characters that cannot be kept")
	}
	data := map[string]any{
		"verb": a.verb, "target": a.target, "by": o.by(), "account": o.Who.Account, "role": o.Who.Role,
	}
	for name, value := range map[string]string{"from": o.Who.From, "sign_in": o.Who.SignIn} {
		if value != "" {
			data[name] = value
		}
	}
	for name, value := range a.words {
		data[name] = value
	}
	text, err := json.Marshal(data)
	return store.Action{
		Key: key, Kind: store.KindOrder, Issue: a.issue, Node: a.node, Site: a.site, PCUID: a.pcu, Reason: o.reason(),
		Data: text, Detail: clean.Line(a.does),
	}, err
}

// sameOrder refuses a key that names another order already. From where it comes again does not matter.
func sameOrder(stored, given store.Action) error {
	var was, is map[string]any
	if err := errors.Join(json.Unmarshal(stored.Data, &was), json.Unmarshal(given.Data, &is)); err != nil {
		return err
	}
	for _, m := range []map[string]any{was, is} {
		delete(m, "from")
		delete(m, "sign_in")
		delete(m, "role")
	}
	if !reflect.DeepEqual(was, is) || stored.Reason != given.Reason {
		err := fmt.Errorf("the key %s belongs to another order already: give each order a key of its own", given.Key)
		return &Error{Reused, err}
	}
	return nil
}

func (d Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}
