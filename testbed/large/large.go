// Package large makes the fleet of a store large, for benches: 10,000 nodes at 500 sites, 2,000 open issues, and a ledger of
// 1,000,000 lines.
package large

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Fill writes the fleet into the store at url, beside what it holds. The issues are as the one of this id, which is there;
// no workflow works on them. The names are s1, pcu1.example and n1.example, and so on.
func Fill(ctx context.Context, url, issue string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	err = fill(ctx, conn, issue)
	return errors.Join(err, conn.Close(ctx))
}

func fill(ctx context.Context, conn *pgx.Conn, issue string) error {
	for _, sql := range []string{
		`insert into site (login_base, site_id, name, enabled, pending, status, changed, latitude, longitude)
			select 's' || n, 1000 + n, 'Site ' || n, true, false, 'good', now(), (n % 120) - 50, (n * 7 % 340) - 170 from generate_series(1, 500) n`,
		`insert into pcu (pcu_id, name, site, hostname, ip, username, model, status, changed)
			select 100000 + n, 'pcu' || n, 's' || (n % 500 + 1), 'pcu' || n || '.example', '', '', 'APC', 'good', now() from generate_series(1, 1000) n`,
		`insert into node (node_id, hostname, site, ip, boot_state, model, pcu_id, outlet, feeds, status, changed, state, category, reason, seen_at)
			select 100000 + n, 'n' || n || '.example', 's' || (n % 500 + 1), '', 'boot', 'm', 100000 + n % 1000 + 1, 1, '[]', case when n % 20 = 0 then 'down' else 'good' end,
			now() - n * interval '1 minute', case when n % 20 = 0 then 'DOWN' else 'BOOT' end, 'PROD', '', now() from generate_series(1, 10000) n`,
		`insert into history (at, kind, target, was, became, reason) select now() - (n % 129600) * interval '1 minute', 'node', 'n' || (n % 10000 + 1) || '.example', 'good', 'down', 'x'
			from generate_series(1, 200000) n`,
		`alter table action disable trigger user`, // nobody needs to hear of these
		`insert into action (key, kind, issue, node, site, pcu, reason, at, outcome, detail, committed, finished)
			select 'k' || n, case when n % 17 = 0 then 'reboot' else 'mail' end, '', 'n' || (n % 10000 + 1) || '.example', 's' || (n % 500 + 1), 0, 'r', at, 'done', 'd', at, at
			from (select n, now() - (1000000 - n) * interval '20 seconds' as at from generate_series(1, 1000000) n) made`,
		`alter table action enable trigger user`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("fill the store: %w", err)
		}
	}
	made, err := conn.Exec(ctx, `insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level, opened, next, outcome, cause, state)
		select 'nodedown/n' || n || '.example', 'run', 'nodedown', 'n' || n || '.example', 'n' || n || '.example', 's1', 0, 'open', 'r', 0, now(), 'n', '', 'c', state
		from generate_series(1, 2000) n, (select state from issue where id = $1 limit 1) made`, issue)
	if err == nil && made.RowsAffected() != 2000 {
		err = fmt.Errorf("there is no issue %s to make others of", issue)
	}
	if err != nil {
		return fmt.Errorf("fill the store with issues: %w", err)
	}
	if _, err = conn.Exec(ctx, `analyze`); err != nil {
		return fmt.Errorf("fill the store: %w", err)
	}
	return nil
}
