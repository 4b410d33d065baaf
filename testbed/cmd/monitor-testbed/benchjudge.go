package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

const (
	judgedNodes = 100_000
	judgedBatch = 100
	judgedNews  = 10 // nodes that fall silent
	mostJudging = 2 * time.Second
	// Each node that falls silent costs its row and a line of the history for the look, and both again for its status; then there are the sites and
	// the sweep itself.
	mostJudgedRows = 4*judgedNews + judgedNews + 5
)

// benchJudge measures what the store and the judgement do for a fleet in which next to nothing happens. The looks themselves are left out.
func benchJudge(ctx context.Context, out io.Writer) error {
	db, url, drop, err := benchStore(ctx, out, judgedNodes)
	if err != nil {
		return err
	}
	defer drop()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	sweep := activities.New(activities.Options{Store: db, Policy: policy.Defaults(24 * time.Hour), Log: slog.New(slog.DiscardHandler), SweepEvery: 30 * time.Minute}).Sweep
	if _, err := judgeQuietly(ctx, db, sweep, conn, 0); err != nil { // the first writes everything
		return err
	}
	m, err := judgeQuietly(ctx, db, sweep, conn, judgedNews)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\njudging %d nodes, %d of them new to be silent: %s, %d rows written by the looks, %d by the batches, %d by the judgement\n",
		judgedNodes, judgedNews, m.took.Round(10*time.Millisecond), m.looked, m.batches, m.judged)
	var errs []error
	if m.took > mostJudging {
		errs = append(errs, fmt.Errorf("judging took %s, more than %s", m.took, mostJudging))
	}
	if rows := m.looked + m.judged; rows > mostJudgedRows {
		errs = append(errs, fmt.Errorf("%d rows were written for %d changes", rows, judgedNews))
	}
	return errors.Join(errs...)
}

// judging is what a judgement took, and the versions of rows that were written.
type judging struct {
	took                    time.Duration
	looked, batches, judged int
}

// judgeQuietly saves looks in which all nodes run but a few, one at a site, and judges them.
func judgeQuietly(ctx context.Context, db *store.Store, judge *activities.Sweep, conn *pgx.Conn, silent int) (m judging, err error) {
	sweep, err := db.StartSweep(ctx, fmt.Sprintf("bench/%d", silent))
	if err != nil {
		return m, err
	}
	at := time.Now()
	if m.looked, err = writes(ctx, conn, func() error {
		for first := 0; first < judgedNodes; first += judgedBatch {
			var looks []store.NodeLook
			for i := first; i < first+judgedBatch; i++ {
				l := store.NodeLook{Host: fmt.Sprintf("n%d.example", i+1), At: at, State: policy.StateBoot, Category: policy.CategoryProd, Reason: "boot", Uptime: 72 * time.Hour,
					Detail: []byte(`{"dns":"ok","ports":{"22":"open","80":"open","806":"open"}}`)}
				if i%nodesOfASite == 0 && i/nodesOfASite < silent {
					l.State, l.Category, l.Reason, l.Silent, l.Uptime = policy.StateDown, policy.CategoryError, "no ssh: timeout", true, 0
				}
				looks = append(looks, l)
			}
			if err := db.SaveNodeLooks(ctx, looks); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return m, err
	}
	if m.batches, err = writes(ctx, conn, func() error {
		for first := 0; first < judgedNodes; first += judgedBatch {
			if err := db.SaveSeen(ctx, store.Seen{Kind: "node", After: int64(first), Upto: int64(first + judgedBatch), At: at}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return m, err
	}
	m.judged, err = writes(ctx, conn, func() error {
		start := time.Now()
		res, err := judge.Judge(ctx, activities.Plan{Sweep: sweep.ID, Started: sweep.Started, PLC: activities.PLCAnswers})
		m.took = time.Since(start)
		if err == nil && (res.Nodes != judgedNodes || res.Up != judgedNodes-silent || res.Held != "") {
			err = fmt.Errorf("the judgement is %+v", res)
		}
		return err
	})
	return m, err
}

// writes counts the versions of rows that are written meanwhile.
func writes(ctx context.Context, conn *pgx.Conn, do func() error) (total int, err error) {
	var before int64
	if err := conn.QueryRow(ctx, `select pg_current_xact_id()::text::bigint`).Scan(&before); err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	for _, table := range []string{"node", "pcu", "site", "history", "seen", "sweep", "action", "issue"} {
		var n int
		if err := conn.QueryRow(ctx, `select count(*) from `+table+` where xmin::text::bigint > $1`, before).Scan(&n); err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
