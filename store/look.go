package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/planetlab/monitor/policy"
)

// NodeLook is what a sweep saw of a node.
type NodeLook struct {
	Host, State, Category, Reason string
	Firewall                      bool
	Silent                        bool // nothing at all answers for it
	Uptime                        time.Duration
	At                            time.Time
	Symptoms                      json.RawMessage // nil: none
	Detail                        json.RawMessage // without what differs from look to look
}

// bootJitter is how far apart two looks at one boot may put it, in seconds: uptimes come cut to seconds and a network
// away, and clocks of nodes go wrong by at most a thousandth.
const bootJitter = `greatest(3, extract(epoch from l.at - l.booted) / 1000)`

// saveNodeLooks writes looks that differ from the last one and leaves all other rows alone: a quiet fleet costs no
// writes. An operator's own fact that is another than at the look before is a line of the history of its own.
const saveNodeLooks = `with look as (
		select * from unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::boolean[], $6::text[],
		$7::timestamptz[], $8::boolean[], $9::jsonb[], $10::jsonb[])
			as l(host, at, state, category, firewall, reason, booted, silent, symptoms, detail)
	), changed as (
		update node n set seen_at = l.at, state = l.state, category = l.category, firewall = l.firewall,
		reason = l.reason, booted = l.booted,
			first_silent = case when l.silent then coalesce(n.first_silent, l.at) end, symptoms = l.symptoms,
			detail = l.detail
		from look l join node was on was.hostname = l.host
		where n.node_id = was.node_id and (n.seen_at is null or n.seen_at <= l.at) and (n.seen_at is null
			or (n.state, n.category, n.firewall, n.reason, n.symptoms, n.detail) is distinct
			from (l.state, l.category, l.firewall, l.reason, l.symptoms, l.detail)
			or (n.first_silent is null) = l.silent
			or (n.booted is null) <> (l.booted is null) or abs(extract(epoch
			from n.booted - l.booted)) > ` + bootJitter + `)
		returning l.*, was.state was_state, was.category was_category, was.firewall was_firewall, was.reason was_reason,
			was.detail->'inside'->'own' was_own, l.detail->'inside'->'own' own
	), answered as (
		insert into history (at, kind, target, was, became, reason)
		select at, 'fact', host, coalesce(was_own->>name, ''), coalesce(own->>name, ''), name
		from changed, lateral (select jsonb_object_keys(was_own || own) as name) names
		where was_own->>name is distinct from own->>name
	)
	insert into history (at, kind, target, was, became, reason, detail)
		select at, 'look', host, was_state || ' ' || was_category, state || ' ' || category, reason, detail from changed
		where (was_state, was_category, was_firewall, was_reason) is distinct from (state, category, firewall, reason)`

// SaveNodeLooks writes what was seen as far as it differs from the last look, and keeps what changed in the history. A
// look that Postgres refuses costs itself alone: the answer is then RefusedRows, and all others are saved.
func (s *Store) SaveNodeLooks(ctx context.Context, looks []NodeLook) error {
	// no two writers cross
	looks = slices.SortedFunc(slices.Values(looks), func(a, b NodeLook) int { return cmp.Compare(a.Host, b.Host) })
	return inHalves("look", looks, func(l NodeLook) string { return l.Host }, func(part []NodeLook) error {
		var c nodeColumns
		for _, l := range part {
			c.add(l)
		}
		_, err := s.pool.Exec(ctx, saveNodeLooks, c.host, c.at, c.state, c.category, c.firewall, c.reason, c.booted,
			c.silent, c.symptoms, c.detail)
		return err
	})
}

// nodeColumns are looks, column by column.
type nodeColumns struct {
	host, state, category, reason []string
	at                            []time.Time
	booted                        []*time.Time
	firewall, silent              []bool
	symptoms, detail              []*string
}

func (c *nodeColumns) add(l NodeLook) {
	c.host, c.state, c.category, c.reason = append(c.host, l.Host), append(c.state, l.State),
		append(c.category, l.Category), append(c.reason, l.Reason)
	c.at, c.firewall, c.silent = append(c.at, l.At), append(c.firewall, l.Firewall), append(c.silent, l.Silent)
	var booted *time.Time
	if l.Uptime > 0 {
		at := l.At.Add(-l.Uptime)
		booted = &at
	}
	c.booted, c.symptoms, c.detail = append(c.booted, booted), append(c.symptoms, jsonOrNull(l.Symptoms)),
		append(c.detail, jsonOrNull(l.Detail))
}

func jsonOrNull(text json.RawMessage) *string {
	if len(text) == 0 {
		return nil
	}
	s := string(text)
	return &s
}

// PCULook is the outcome of a dry run.
type PCULook struct {
	PCUID  int
	At     time.Time
	OK     bool
	Reason string
}

// SavePCULooks is SaveNodeLooks for PCUs.
func (s *Store) SavePCULooks(ctx context.Context, looks []PCULook) error {
	looks = slices.SortedFunc(slices.Values(looks), func(a, b PCULook) int { return cmp.Compare(a.PCUID, b.PCUID) })
	return inHalves("dry run", looks, func(l PCULook) string {
		return strconv.Itoa(l.PCUID)
	}, func(part []PCULook) error {
		var ids []int
		var at []time.Time
		var ok []bool
		var reason []string
		for _, l := range part {
			ids, at, ok, reason = append(ids, l.PCUID), append(at, l.At), append(ok, l.OK), append(reason, l.Reason)
		}
		_, err := s.pool.Exec(ctx, `update pcu set seen_at = l.at, ok = l.ok, reason = l.reason
			from unnest($1::int[], $2::timestamptz[], $3::boolean[], $4::text[]) as l(id, at, ok, reason)
			where pcu_id = l.id and (seen_at is null or seen_at <= l.at) and (seen_at is null or (pcu.ok,
			pcu.reason) is distinct from (l.ok, l.reason))`, ids, at, ok, reason)
		return err
	})
}

// Change is a new status of a node, a PCU (Target is its id) or a site, and why.
type Change struct {
	Kind, Target string // kind: node, pcu or site
	Was, Record  policy.Record
	Judged       string // what was seen of a node when it was judged so; empty: as it was
	Reason       string
}

// saveChanges writes statuses of one kind. Since when something is bad outlives its way through the bad statuses.
const saveChanges = `with change as (
		select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::boolean[], $6::text[],
		$7::text[])
			as c(target, was, became, changed, bad, judged, reason)
	), saved as (
		update %s set status = c.became, changed = c.changed%s from change c where %s = c.target returning c.*
	)
	insert into history (at, kind, target, was, became, reason) select $8, $9, target, was, became, reason from saved
	where was <> became`

const badSince = `, bad_since = case when c.bad then least(bad_since, c.changed) end`

// SaveChanges writes new statuses and their history. A change that Postgres refuses costs itself alone: see
// RefusedRows.
func (s *Store) SaveChanges(ctx context.Context, changes []Change, now time.Time) error {
	kinds := map[string]string{
		"node": fmt.Sprintf(saveChanges, "node",
			badSince+`, judged = case when c.judged = '' then node.judged else c.judged end`, "hostname"),
		"pcu":  fmt.Sprintf(saveChanges, "pcu", badSince, "pcu_id::text"),
		"site": fmt.Sprintf(saveChanges, "site", "", "login_base"),
	}
	byKind := map[string][]Change{}
	for _, c := range changes {
		if kinds[c.Kind] == "" {
			return fmt.Errorf("a %s has no status", c.Kind)
		}
		byKind[c.Kind] = append(byKind[c.Kind], c)
	}
	var refused RefusedRows
	for _, kind := range []string{"site", "pcu", "node"} {
		list := slices.SortedFunc(slices.Values(byKind[kind]), func(a, b Change) int {
			return cmp.Compare(a.Target, b.Target)
		})
		err := inHalves("status", list, func(c Change) string { return c.Target }, func(part []Change) error {
			return s.saveSome(ctx, kinds[kind], kind, part, now)
		})
		if refused, err = refused.and(err); err != nil {
			return err
		}
	}
	return refused.asError()
}

func (s *Store) saveSome(ctx context.Context, sql, kind string, part []Change, now time.Time) error {
	var target, was, became, judged, reason []string
	var changed []time.Time
	var bad []bool
	for _, c := range part {
		target, was, became = append(target, c.Target), append(was, string(c.Was.Status)),
			append(became, string(c.Record.Status))
		judged, reason = append(judged, c.Judged), append(reason, c.Reason)
		changed, bad = append(changed, c.Record.Changed), append(bad, c.Record.Status.Faulty())
	}
	_, err := s.pool.Exec(ctx, sql, target, was, became, changed, bad, judged, reason, now, kind)
	return err
}

// Passage is one line of the history of a node, PCU or site.
type Passage struct {
	At                                time.Time
	Kind, Target, Was, Became, Reason string
}

// History reads what changed at a target, newest first.
func (s *Store) History(ctx context.Context, target string, limit int) ([]Passage, error) {
	return many[Passage](ctx, s, "history of "+target,
		`select at, kind, target, was, became, reason from history where target = $1 order by id desc limit $2`,
		target, limit)
}
