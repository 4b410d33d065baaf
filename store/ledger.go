package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ActionKind names what is done to the world.
type ActionKind string

// The kinds of actions.
const (
	KindReboot    ActionKind = "reboot"
	KindReinstall ActionKind = "reinstall"
	KindRepair    ActionKind = "bootman"
	KindDisable   ActionKind = "disable"    // a node in PLC
	KindEnable    ActionKind = "enable"     // a node in PLC gets its boot state back
	KindBootState ActionKind = "boot state" // set in PLC, as a person ordered
	KindOutlet    ActionKind = "outlet"     // switched, as a person ordered
	KindPenalty   ActionKind = "penalty"
	KindNotice    ActionKind = "notice"
	KindTicket    ActionKind = "ticket"
	KindFlag      ActionKind = "flag"
	KindDigest    ActionKind = "digest"  // flags, as the admins are told of them
	KindContact   ActionKind = "contact" // somebody is out of reach by mail
	KindGuard     ActionKind = "guard"
	KindBelieve   ActionKind = "believe"
	KindOrder     ActionKind = "order"     // somebody ordered something
	KindReconcile ActionKind = "reconcile" // what was left over is put right
	KindSkip      ActionKind = "skip"      // looked at, and not acted on
)

// ActionKinds are all of them.
func ActionKinds() []ActionKind {
	return []ActionKind{KindReboot, KindReinstall, KindRepair, KindDisable, KindEnable, KindBootState, KindOutlet,
		KindPenalty, KindNotice, KindTicket, KindFlag, KindDigest, KindContact, KindGuard, KindBelieve, KindOrder,
		KindReconcile, KindSkip}
}

// Outcomes are all of them, but the empty one of an action that has not ended.
func Outcomes() []string {
	return []string{Done, Sent, Asked, Refused, Failed, Ambiguous, Skipped}
}

// Outcomes of an action.
const (
	Done      = "done"
	Sent      = "sent"  // given to the device or the mail server, not verified
	Asked     = "asked" // people were asked to do it
	Refused   = "refused"
	Failed    = "failed"    // surely not done
	Ambiguous = "ambiguous" // it may have happened; never blindly repeated
	Skipped   = "skipped"   // looked at, and not acted on
)

// Action is one line of the ledger: something Monitor did to the world, or chose not to do.
type Action struct {
	Key       string          `json:"key"` // <workflow id>/<run>/<rung>: one effect, once
	Kind      ActionKind      `json:"kind"`
	Issue     string          `json:"issue"`
	RunID     string          `json:"run_id,omitempty"`
	Node      string          `json:"node"`
	Site      string          `json:"site"`
	PCUID     int             `json:"pcu"`
	Reason    string          `json:"reason"`
	Data      json.RawMessage `json:"data,omitempty"` // what the effect needs to be finished or undone, by kind
	At        time.Time       `json:"at"`
	Committed time.Time       `json:"committed,omitzero"` // from here on it may have happened; zero: surely not yet
	Outcome   string          `json:"outcome"`            // empty: intended, and not known to have ended
	Detail    string          `json:"detail"`
	Finished  time.Time       `json:"finished,omitzero"`
	Times     int             `json:"times"` // how often a skip came, or a message was tried
}

// Begun reports whether the effect may have happened, or did.
func (a Action) Begun() bool { return !a.Committed.IsZero() }

const actionSQL = `select ` + actionColumns + ` from action `

const actionColumns = `key, kind, issue, run_id, node, site, pcu as pcuid, reason, data, at,
	coalesce(committed,` + epoch + `) committed, outcome, detail,
	coalesce(finished,` + epoch + `) finished, times`

// Budget is how often a kind of action may be done since a time. It is counted and reserved in one transaction with the
// intent.
type Budget struct {
	Kind        ActionKind
	Since       time.Time
	Fleet, Site int // most of them; 0: none
}

// Over says that a budget is spent.
type Over struct {
	Kind  ActionKind
	Where string // "fleet" or "site"
	Limit int
	Free  time.Time // when the oldest of them leaves the time that is counted
}

// reserved is how long an intent that was neither committed nor ended counts: its worker may still be about to act.
const reserved = `'15 minutes'::interval`

// spent is what counts against a budget or a window: what may have happened, and what is about to. What people were
// asked to do is no act of Monitor, also while they are being asked.
const spent = `not coalesce((data->>'by_hand')::bool, false) and (committed is not null and outcome not in ('failed', 'refused', 'skipped', 'asked') or outcome = ''
	and committed is null and at > now() - ` + reserved + `)`

// Plan is an intent with what it takes: all of it is written, or nothing.
type Plan struct {
	Action
	Claims []Claim
	Budget *Budget
}

// Begin writes down what is about to be done, what it will hold, and its share of the budget, in one transaction. When
// the key is there already it changes nothing and returns what stands there; when the budget is spent it writes nothing
// and says so.
func (s *Store) Begin(ctx context.Context, p Plan) (a Action, existed bool, over *Over, err error) {
	if p.Key == "" {
		return a, false, nil, errors.New("ledger: an action needs a key")
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if p.Budget != nil {
			if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, budgetLock); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `insert into action (key, kind, issue, run_id, node, site, pcu, reason, data)
			values ($1,$2,$3,$4,$5,$6,$7,$8,$9) on conflict (key) do nothing`,
			p.Key, p.Kind, p.Issue, p.RunID, p.Node, p.Site, p.PCUID, p.Reason, p.Data)
		if err != nil {
			return err
		}
		if existed = tag.RowsAffected() == 0; existed {
			return nil
		}
		if over, err = overBudget(ctx, tx, p); err != nil {
			return err
		}
		if over != nil {
			return errOver
		}
		for _, c := range p.Claims {
			if err := takeClaim(ctx, tx, c, p.Action); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errOver) {
		return a, false, over, nil
	}
	if err != nil {
		return a, false, nil, fmt.Errorf("ledger %s: %w", p.Key, err)
	}
	a, err = s.Action(ctx, p.Key)
	return a, existed, nil, err
}

// budgetLock is the advisory lock under which budgets are counted and reserved.
const budgetLock = 0x4d4f4e00

var errOver = errors.New("over budget")

// overBudget counts with the intent that was just written, so that what is over is more than the limit.
func overBudget(ctx context.Context, tx pgx.Tx, p Plan) (*Over, error) {
	if p.Budget == nil {
		return nil, nil
	}
	for _, b := range []struct {
		where, site string
		limit       int
	}{{"fleet", "", p.Budget.Fleet}, {"site", p.Site, p.Budget.Site}} {
		var count int
		var oldest *time.Time
		err := tx.QueryRow(ctx, `select count(*), min(at) from action where kind = $1 and ($2 = '' or site = $2)
			and at >= $3 and `+spent,
			p.Budget.Kind, b.site, p.Budget.Since).Scan(&count, &oldest)
		if err != nil {
			return nil, err
		}
		if count > b.limit {
			return &Over{Kind: p.Budget.Kind, Where: b.where, Limit: b.limit, Free: *oldest}, nil
		}
	}
	return nil, nil
}

// Commit marks the point of no return, directly before the effect. Only the one to whom it answers true may go on: an
// action is committed once, and one that has ended never.
func (s *Store) Commit(ctx context.Context, key string) (bool, error) {
	tag, err := s.pool.Exec(ctx, `update action set committed = now() where key = $1 and committed is null
		and outcome = ''`, key)
	if err != nil {
		return false, fmt.Errorf("ledger %s: %w", key, err)
	}
	return tag.RowsAffected() == 1, nil
}

// TryAgain marks, directly before an effect is repeated that may be, as a message is that somebody may have already,
// that it is repeated, and why: the ledger counts the tries. It answers false for one that was never committed, or has
// ended.
func (s *Store) TryAgain(ctx context.Context, key, why string) (bool, error) {
	tag, err := s.pool.Exec(ctx, `update action set times = times + 1, outcome = 'ambiguous',
		detail = case when outcome = '' then $2 else detail end
		where key = $1 and committed is not null and outcome in ('', 'ambiguous')`, key, why)
	if err != nil {
		return false, fmt.Errorf("ledger %s: %w", key, err)
	}
	return tag.RowsAffected() == 1, nil
}

// Withdraw takes the commitment back of a message that surely did not leave: it may be sent as if for the first time.
// One that may have left once stays as it is.
func (s *Store) Withdraw(ctx context.Context, key string) error {
	if _, err := s.pool.Exec(ctx, `update action set committed = null where key = $1 and outcome = ''`,
		key); err != nil {
		return fmt.Errorf("ledger %s: %w", key, err)
	}
	return nil
}

// Unsent ends a message as failed that surely did not leave. Where it may have left once, or another try sends it just
// now, it changes nothing, and answers so.
func (s *Store) Unsent(ctx context.Context, key, why string) (mayHaveLeft bool, err error) {
	tag, err := s.pool.Exec(ctx, `update action set outcome = 'failed', finished = now(), detail = $2
		where key = $1 and outcome = ''`, key, why)
	if err != nil {
		return false, fmt.Errorf("ledger %s: %w", key, err)
	}
	return tag.RowsAffected() == 0, nil
}

// Intent is Begin for an effect that takes no claim and no budget.
func (s *Store) Intent(ctx context.Context, a Action) (Action, bool, error) {
	stored, existed, _, err := s.Begin(ctx, Plan{Action: a})
	return stored, existed, err
}

// Note writes down what was done already, with its outcome, once: a line that waits for none.
func (s *Store) Note(ctx context.Context, a Action) error {
	_, err := s.pool.Exec(ctx, `insert into action (key, kind, issue, run_id, node, site, pcu, reason, data, outcome,
		detail, committed, finished)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,now(),now()) on conflict (key) do nothing`,
		a.Key, a.Kind, a.Issue, a.RunID, a.Node, a.Site, a.PCUID, a.Reason, a.Data, a.Outcome, a.Detail)
	if err != nil {
		return fmt.Errorf("ledger %s: %w", a.Key, err)
	}
	return nil
}

// Recall is Note of what was done before, at the time of the action, and of which the ledger has lost its line.
func (s *Store) Recall(ctx context.Context, a Action) error {
	_, err := s.pool.Exec(ctx, `insert into action (key, kind, issue, run_id, node, site, pcu, reason, outcome, detail, at,
		committed, finished)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$11,$11) on conflict (key) do nothing`,
		a.Key, a.Kind, a.Issue, a.RunID, a.Node, a.Site, a.PCUID, a.Reason, a.Outcome, a.Detail, a.At)
	if err != nil {
		return fmt.Errorf("ledger %s: %w", a.Key, err)
	}
	return nil
}

// Skip writes down that something was looked at and not acted on, and why. The key names the occasion; when it comes
// again with the same reason the line only counts up.
func (s *Store) Skip(ctx context.Context, a Action) error {
	_, err := s.pool.Exec(ctx, `insert into action (key, kind, issue, run_id, node, site, pcu, reason, data, outcome,
		detail, finished)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9,'skipped',$8,now())
		on conflict (key) do update set times = action.times + 1, finished = now(), reason = excluded.reason,
		detail = excluded.detail
		where action.outcome = 'skipped'`, a.Key, KindSkip, a.Issue, a.RunID, a.Node, a.Site, a.PCUID, a.Reason, a.Data)
	if err != nil {
		return fmt.Errorf("ledger %s: %w", a.Key, err)
	}
	return nil
}

// Action reads one line of the ledger.
func (s *Store) Action(ctx context.Context, key string) (Action, error) {
	return one[Action](ctx, s, "ledger "+key, actionSQL+`where key = $1`, key)
}

// Outcome writes down how an intended action ended. Only an ambiguous outcome may be replaced by a later, better one.
func (s *Store) Outcome(ctx context.Context, key, outcome, detail string) error {
	return s.Settle(ctx, key, outcome, detail, nil)
}

// Settle is Outcome, and in the same transaction releases claims that the action has taken: all of the kinds given.
func (s *Store) Settle(ctx context.Context, key, outcome, detail string, release []ClaimKind) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := settle(ctx, tx, key, outcome, detail); err != nil {
			return err
		}
		return releaseOf(ctx, tx, key, detail, release)
	})
	if err != nil {
		return fmt.Errorf("ledger %s: %w", key, err)
	}
	return nil
}

// GiveUp ends an action that was never begun as failed, and releases its claims of the kinds given. It changes nothing,
// and answers that it was begun, where another try has marked the point of no return meanwhile: who gives up what he
// has read as not begun may have read it a moment too early.
func (s *Store) GiveUp(ctx context.Context, key, why string, release ...ClaimKind) (begun bool, err error) {
	return s.endUnbegun(ctx, key, Failed, why, release)
}

// Forgo is GiveUp of what nobody wants any more, as a message that would not be true by now: it ends as skipped.
func (s *Store) Forgo(ctx context.Context, key, why string, release ...ClaimKind) (begun bool, err error) {
	return s.endUnbegun(ctx, key, Skipped, why, release)
}

func (s *Store) endUnbegun(ctx context.Context, key, outcome, why string, release []ClaimKind) (begun bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update action set outcome = $3, finished = now(), detail = $2
			where key = $1 and outcome = '' and committed is null`, key, why, outcome)
		if err == nil && tag.RowsAffected() == 0 {
			err = tx.QueryRow(ctx, `select committed is not null from action where key = $1`, key).Scan(&begun)
			if errors.Is(err, pgx.ErrNoRows) {
				err = ErrNotFound
			}
			return err
		}
		if err != nil {
			return err
		}
		return releaseOf(ctx, tx, key, why, release)
	})
	if err != nil {
		return false, fmt.Errorf("ledger %s: %w", key, err)
	}
	return begun, nil
}

// releaseOf ends the claims of some kinds that an action has taken.
func releaseOf(ctx context.Context, tx pgx.Tx, key, how string, kinds []ClaimKind) error {
	_, err := tx.Exec(ctx, `update claim set released = now(), how = $3
		where key = $1 and kind = any($2) and released is null`, key, kinds, how)
	return err
}

// Attach adds what v has, as JSON, to the data of a line: a message that is about to go out, with its facts.
func (s *Store) Attach(ctx context.Context, key string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		_, err = s.pool.Exec(ctx, `update action set data = coalesce(data, '{}') || $2::jsonb where key = $1`, key, data)
	}
	if err != nil {
		return fmt.Errorf("ledger %s: %w", key, err)
	}
	return nil
}

// Delivered is Outcome of a message that went out. In the same transaction it keeps what is known of the message, and
// its notices, so that a try whose answer was lost finds all of it.
func (s *Store) Delivered(ctx context.Context, key, detail string, data json.RawMessage, notices []Notice) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := settle(ctx, tx, key, Sent, detail); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update action set data = $2 where key = $1`, key, data); err != nil {
			return err
		}
		for _, n := range notices {
			if err := recordNotice(ctx, tx, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger %s: %w", key, err)
	}
	return nil
}

// ErrEnded says that an action ended otherwise before.
var ErrEnded = errors.New("it already ended")

func settle(ctx context.Context, tx pgx.Tx, key, outcome, detail string) error {
	tag, err := tx.Exec(ctx, `update action set outcome = $2, finished = now(),
		committed = case when $2 in ('done', 'sent', 'asked', 'ambiguous') then coalesce(committed,
		now()) else committed end,
		detail = case when outcome = 'ambiguous' and detail <> $3 then detail || '; then ' || $3 else $3 end
		where key = $1 and outcome in ('', 'ambiguous')`, key, outcome, detail)
	if err != nil || tag.RowsAffected() > 0 {
		return err
	}
	var stored string
	err = tx.QueryRow(ctx, `select outcome from action where key = $1`, key).Scan(&stored)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	case err == nil && stored != outcome:
		return fmt.Errorf("%w as %s, it cannot become %s", ErrEnded, stored, outcome)
	}
	return err
}

// ActionFilter chooses actions; empty fields choose all.
type ActionFilter struct {
	Kind                ActionKind
	Issue, Run          string
	Node, Site, Outcome string
	Since               time.Time
	Unfinished          bool // intended and not known to have ended
	Limit               int  // 0: 100
}

// Actions reads the ledger, newest first.
func (s *Store) Actions(ctx context.Context, f ActionFilter) ([]Action, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	where, args := f.where()
	order := "id desc"
	if f.Kind != "" || f.Issue != "" || f.Node != "" || f.Site != "" { // the indices of these go by time
		order = "at desc, id desc"
	}
	args = append(args, f.Limit)
	return many[Action](ctx, s, "ledger", fmt.Sprintf("%s order by %s limit $%d", actionSQL+where, order, len(args)), args...)
}

// where has conditions for what is asked alone: a plan for all that may be asked would use no index, and read all of a
// large ledger for a site of which little was done.
func (f ActionFilter) where() (sql string, args []any) {
	args, sql = []any{f.Since}, `where at >= $1`
	for _, c := range []struct{ column, value string }{
		{"kind", string(f.Kind)}, {"issue", f.Issue}, {"node", f.Node}, {"site", f.Site}, {"run_id", f.Run}, {"outcome", f.Outcome},
	} {
		if c.value != "" {
			args = append(args, c.value)
			sql += fmt.Sprintf(" and %s = $%d", c.column, len(args))
		}
	}
	if f.Unfinished {
		sql += ` and outcome = ''`
	}
	return sql, args
}

// CountActions counts what was, or may have been, done of a kind since a time, at one site or (site empty) in the
// fleet.
func (s *Store) CountActions(ctx context.Context, kind ActionKind, site string, since time.Time) (n int, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) from action where kind = $1 and ($2 = '' or site = $2) and at >= $3
		and `+spent, kind, site, since).Scan(&n)
	return n, err
}

// PowerCycles are the times at which Monitor power-cycled a node, or may have, since a time.
func (s *Store) PowerCycles(ctx context.Context, node string, since time.Time) ([]time.Time, error) {
	rows, err := s.pool.Query(ctx,
		`select committed from action where node = $1 and kind in ('reboot', 'reinstall') and committed >= $2
		and outcome not in ('failed', 'refused', 'skipped', 'asked') and not coalesce((data->>'by_hand')::bool, false)
		order by committed`, node, since)
	if err != nil {
		return nil, fmt.Errorf("power cycles of %s: %w", node, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[time.Time])
}
