package doctor

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/planetlab/monitor/store"
)

const (
	leastPostgres = 150_000 // 15, as server_version_num has it
	mostDrift     = 5 * time.Second
	sampled       = 50 // PCUs whose passwords are opened
)

func (v *visit) checkup(ctx context.Context) (store.Checkup, error) {
	db, err := v.store(ctx)
	if err != nil {
		return store.Checkup{}, err
	}
	return db.Checkup(ctx)
}

func postgres(ctx context.Context, v *visit) Finding {
	c, err := v.checkup(ctx)
	switch {
	case err != nil:
		return failed("start Postgres, and check database.url, the password and pg_hba.conf of the server", "%v", err)
	case c.Version < leastPostgres:
		return failed("upgrade the server to Postgres 15 or later", "it is Postgres %s", c.Server)
	}
	return found("Postgres %s, as %s, for %d connections", c.Server, c.User, c.Connections)
}

func tables(ctx context.Context, v *visit) Finding {
	c, err := v.checkup(ctx)
	switch {
	case err != nil:
		return skipped("Postgres does not answer")
	case c.Schema == 0 && c.MayCreate:
		return warning("start monitor-worker once: it makes the tables", "there are none yet")
	case c.Schema < c.Want && !c.MayCreate:
		return failed("start monitor-worker once with an account that owns the tables (docs/operation.md, \"Postgres\")",
			"version %d; this build needs %d, and the account %s may make none", c.Schema, c.Want, c.User)
	case c.Schema < c.Want:
		return warning("start monitor-worker of this build: it brings them up to date", "version %d; this build has %d",
			c.Schema, c.Want)
	case c.Schema > c.Want:
		return failed("use the build that made them, or a later one", "version %d, of a later build than this, which has %d",
			c.Schema, c.Want)
	}
	return found("version %d", c.Schema)
}

// haveTables reports whether the store can be asked for the fleet.
func (v *visit) haveTables(ctx context.Context) bool {
	c, err := v.checkup(ctx)
	return err == nil && c.Schema > 0 && c.Schema == c.Want
}

func rights(ctx context.Context, v *visit) Finding {
	c, err := v.checkup(ctx)
	switch {
	case err != nil:
		return skipped("Postgres does not answer")
	case c.Schema == 0:
		return skipped("there are no tables")
	case len(c.Missing) > 0:
		return failed("grant select, insert, update, delete on all tables in schema public to "+c.User,
			"the account %s lacks: %s", c.User, strings.Join(c.Missing, ", "))
	}
	return found("the account %s may read and write all tables", c.User)
}

func sealed(ctx context.Context, v *visit) Finding {
	if !v.haveTables(ctx) {
		return skipped("there are no tables of this build")
	}
	list, err := v.db.PCUs(ctx, 0, sampled)
	if err != nil {
		return failed("see postgres.rights", "%v", err)
	}
	opened := 0
	for _, p := range list {
		switch _, err := v.db.PCUPassword(ctx, p); {
		case errors.Is(err, store.ErrSealed):
			return failed("name the key that it was sealed with in secrets.old_key_files, or sweep: the next sweep seals anew",
				"%v", err)
		case err != nil:
			return failed("see postgres.rights", "%v", err)
		}
		opened++
	}
	if opened == 0 {
		return skipped("no PCU is known yet")
	}
	return found("the passwords of %d PCUs", opened)
}

func clock(ctx context.Context, v *visit) Finding {
	before := v.Now()
	c, err := v.checkup(ctx)
	if err != nil {
		return skipped("Postgres does not answer")
	}
	drift := c.Clock.Sub(before.Add(v.Now().Sub(before) / 2)).Round(100 * time.Millisecond)
	if drift.Abs() > mostDrift {
		return warning("run a time service (chrony, systemd-timesyncd) on both machines",
			"that of Postgres is %s %s", drift.Abs(), aheadOrBehind(drift))
	}
	return found("they differ by %s", drift.Abs())
}

func aheadOrBehind(d time.Duration) string {
	if d > 0 {
		return "ahead of ours"
	}
	return "behind ours"
}
