package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/testbed/mailbox"
)

// moment is something that has just been done: a worker has written it down, or a device or the mail server has seen
// it.
type moment struct {
	What string `json:"what"`
	Who  string `json:"who"` // the worker; empty: it is not known
	Site string `json:"site"`
	at   time.Time
}

// tellMoments has Postgres tell of each line of the ledger, each claim, issue, notice and sweep when it is committed,
// and who wrote it.
const tellMoments = `
create or replace function chaos_moment() returns trigger language plpgsql as $$
declare what text := ''; site text := '';
begin
	if tg_table_name = 'action' then
		site := new.site;
		if new.kind in ('skip', 'guard', 'believe', 'order') then return null; end if;
		if tg_op = 'INSERT' then what := 'intent: ' || new.kind;
		elsif old.committed is null and new.committed is not null and new.outcome = '' then
			what := 'commitment: ' || new.kind;
		elsif old.outcome <> new.outcome then what := 'outcome: ' || new.kind;
		end if;
	elsif tg_table_name = 'claim' then
		site := new.site;
		if tg_op = 'INSERT' then what := 'claim: ' || new.kind;
		elsif old.released is null and new.released is not null then what := 'release: ' || new.kind;
		end if;
	elsif tg_table_name = 'issue' then
		site := new.site;
		if tg_op = 'INSERT' then what := 'an issue opens';
		elsif old.closed is null and new.closed is not null then what := 'an issue closes';
		else what := 'an issue moves';
		end if;
	elsif tg_table_name = 'notice' then
		site := new.site;
		what := 'a notice is kept';
	elsif tg_op = 'INSERT' then what := 'a sweep begins';
	elsif old.ended is null and new.ended is not null then what := 'a sweep is judged';
	end if;
	if what <> '' then
		perform pg_notify('chaos',
			json_build_object('what', what, 'who', current_setting('application_name'), 'site', site)::text);
	end if;
	return null;
end $$;
create or replace trigger chaos_moment after insert or update on action for each row execute function chaos_moment();
create or replace trigger chaos_moment after insert or update on claim for each row execute function chaos_moment();
create or replace trigger chaos_moment after insert or update on issue for each row execute function chaos_moment();
create or replace trigger chaos_moment after insert on notice for each row execute function chaos_moment();
create or replace trigger chaos_moment after insert or update on sweep for each row execute function chaos_moment();
`

// watch hands on moments as they come.
func (c *chaos) watch(ctx context.Context) <-chan moment {
	moments := make(chan moment, 16)
	hand := func(m moment) {
		m.at = time.Now()
		select {
		case moments <- m:
		default:
		}
	}
	go c.watchStore(ctx, hand)
	go c.watchOutlets(ctx, hand)
	go c.watchMail(ctx, hand)
	return moments
}

// watchStore listens to Postgres, which may be restarted at any time.
func (c *chaos) watchStore(ctx context.Context, hand func(moment)) {
	for ctx.Err() == nil {
		if err := c.listen(ctx, hand); err != nil {
			wait(ctx, 50*time.Millisecond)
		}
	}
}

func (c *chaos) listen(ctx context.Context, hand func(moment)) error {
	conn, err := pgx.Connect(ctx, c.Database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen chaos"); err != nil {
		return err
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		var m moment
		if err := json.Unmarshal([]byte(n.Payload), &m); err != nil {
			return fmt.Errorf("moment %q: %w", n.Payload, err)
		}
		hand(m)
	}
}

func (c *chaos) watchOutlets(ctx context.Context, hand func(moment)) {
	for {
		select {
		case <-ctx.Done():
			return
		case cut := <-c.PowerCutsNow():
			hand(moment{What: "an outlet is off", Site: cut.Site})
		}
	}
}

// watchMail tells when the server has taken a message, and has not yet said so.
func (c *chaos) watchMail(ctx context.Context, hand func(moment)) {
	for n := len(c.Mail.Messages()) + 1; ctx.Err() == nil; n++ {
		var list []mailbox.Message
		list, err := c.Mail.Wait(ctx, n)
		if err != nil {
			return
		}
		n = max(n, len(list))
		hand(moment{What: "a mail is taken"})
	}
}

// tell lays the triggers that tell of moments.
func (c *chaos) tell(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err = conn.Exec(ctx, tellMoments); err != nil {
		return fmt.Errorf("triggers that tell of moments: %w", err)
	}
	return nil
}
