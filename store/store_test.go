package store

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/testbed/pglocal"
)

func open(t *testing.T) *Store {
	t.Helper()
	url := pglocal.ForTest(t)
	s, err := Open(t.Context(), Options{URL: url, Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	var wg sync.WaitGroup
	for range 2 { // two workers that start at once
		wg.Go(func() {
			if err := s.Migrate(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return s
}

var snapshot = plc.Snapshot{
	Taken: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	Sites: []plc.Site{{SiteID: 1, LoginBase: "princeton", Name: "Princeton", Enabled: true}},
	Nodes: []plc.Node{
		{NodeID: 10, Hostname: "planetlab1.princeton.example", SiteID: 1, BootState: "boot", PCUIDs: []int{5},
			Ports: []int{3}},
		{NodeID: 11, Hostname: "planetlab2.princeton.example", SiteID: 1, BootState: "boot"},
		{NodeID: 12, Hostname: "planetlab3.princeton.example", SiteID: 1, BootState: "boot"},
	},
	PCUs: []plc.PCU{{PCUID: 5, SiteID: 1, Hostname: "pcu1.princeton.example", Username: "admin",
		Password: "open sesame", Model: "OpenIPMI"}},
	Persons: []plc.Person{{PersonID: 1, Email: "tech@princeton.example", Roles: []string{"tech"},
		SiteIDs: []int{1}}, {PersonID: 2, Email: "pi@princeton.example", Roles: []string{"pi"}, SiteIDs: []int{1}}},
	Interfaces:   []plc.Interface{{NodeID: 10, IP: "127.10.1.1", Primary: true}},
	PersonExempt: map[int]time.Time{2: time.Now().Add(time.Hour)},
}

func TestStore(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	if _, err := s.SaveSnapshot(ctx, snapshot, false); err != nil {
		t.Fatal(err)
	}
	t.Run("a snapshot reads back", func(t *testing.T) {
		n, err := s.Node(ctx, "planetlab1.princeton.example")
		if err != nil || n.Site != "princeton" || n.PCUID != 5 || n.Outlet != 3 || n.IP != "127.10.1.1" {
			t.Errorf("node is %+v, %v", n, err)
		}
		if _, err := s.Node(ctx, "nobody.example"); !errors.Is(err, ErrNotFound) {
			t.Errorf("an unknown node gives %v", err)
		}
	})
	t.Run("a node or site that was made anew in PLC takes the place of the old one", func(t *testing.T) {
		again := snapshot
		again.Sites = []plc.Site{{SiteID: 1, LoginBase: "pton", Name: "Princeton", Enabled: true}}
		again.Nodes = append([]plc.Node{{NodeID: 20, Hostname: "planetlab1.princeton.example", SiteID: 1,
			BootState: "boot"}}, snapshot.Nodes[1:]...)
		if _, err := s.SaveSnapshot(ctx, again, false); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Node(ctx, "planetlab1.princeton.example"); err != nil || n.NodeID != 20 || n.Site != "pton" {
			t.Errorf("node is %+v, %v", n, err)
		}
		if _, err := s.SaveSnapshot(ctx, snapshot, false); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a PCU password is sealed at rest", func(t *testing.T) {
		var raw []byte
		if err := s.pool.QueryRow(ctx, `select password from pcu where pcu_id = 5`).Scan(&raw); err != nil ||
			bytes.Contains(raw, []byte("sesame")) || len(raw) == 0 {
			t.Errorf("at rest it is %q, %v", raw, err)
		}
		pcu, err := s.PCU(ctx, 5)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := s.PCUPassword(ctx, pcu); err != nil || p.Reveal() != "open sesame" {
			t.Errorf("it reads back as %q, %v", p.Reveal(), err)
		}
		bond := func(p PCU) []byte { return passwordBond(p.PCUID, p.Hostname, p.IP, p.Username, p.Model) }
		if _, today, err := s.seal.open(bond(pcu), raw); err != nil || !today {
			t.Fatal(err)
		}
		for what, change := range map[string]func(*PCU){
			"PCU": func(p *PCU) {
				p.PCUID = 6
			}, "host": func(p *PCU) { p.Hostname = "evil.example" }, "address": func(p *PCU) { p.IP = "192.0.2.66" },
			"account": func(p *PCU) { p.Username += "x" }, "model": func(p *PCU) { p.Model = "WTIIPS4" },
		} {
			other := pcu
			change(&other)
			if _, _, err := s.seal.open(bond(other), raw); !errors.Is(err, errOtherThing) {
				t.Errorf("for another %s: %v", what, err)
			}
		}
		other, _ := newSealer(bytes.Repeat([]byte{8}, 32))
		if _, _, err := other.open(bond(pcu), raw); !errors.Is(err, errOtherKey) {
			t.Errorf("another key: %v", err)
		}
		s.exec(t, `update pcu set ip = '192.0.2.66' where pcu_id = 5`) // as somebody who may write to the table
		moved, err := s.PCU(ctx, 5)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := s.PCUPassword(ctx, moved); err == nil {
			t.Errorf("it would be sent elsewhere: %q", p.Reveal())
		}
		if _, err := s.SaveSnapshot(ctx, snapshot, false); err != nil {
			t.Fatal(err)
		}
		if p, err := s.PCUPassword(ctx, pcu); err != nil || p.Reveal() != "open sesame" {
			t.Errorf("after PLC put it right it reads back as %q, %v", p.Reveal(), err)
		}
	})
	t.Run("only exempt people are left out of contacts", func(t *testing.T) {
		to, skipped, err := s.Contacts(ctx, "princeton", []string{"tech", "pi"}, time.Now())
		if err != nil || len(to) != 1 || to[0].Email != "tech@princeton.example" ||
			!slices.Equal(skipped, []string{"pi@princeton.example"}) {
			t.Errorf("contacts are %v, skipped %v, %v", to, skipped, err)
		}
		if to, _, _ := s.Contacts(ctx, "princeton", nil, time.Now()); len(to) != 0 {
			t.Errorf("no roles mean %v", to)
		}
	})
	t.Run("history is kept on change only", func(t *testing.T) {
		const host = "planetlab1.princeton.example"
		look := NodeLook{Host: host, State: "BOOT", Category: "PROD", At: time.Now(), Detail: []byte(`{}`)}
		for range 3 {
			if err := s.SaveNodeLooks(ctx, []NodeLook{look}); err != nil {
				t.Fatal(err)
			}
		}
		change := Change{Kind: "node", Target: host,
			Record: policy.Record{Status: policy.StatusOnline, Changed: time.Now()}, Reason: "answers again"}
		if err := s.SaveChanges(ctx, []Change{change}, time.Now()); err != nil {
			t.Fatal(err)
		}
		h, err := s.History(ctx, host, 10)
		if err != nil || len(h) != 2 || h[0].Became != "online" || h[0].Reason != "answers again" {
			t.Errorf("history is %+v, %v", h, err)
		}
		if n, _ := s.Node(ctx, host); n.Record.Status != policy.StatusOnline {
			t.Errorf("status is %+v", n.Record)
		}
	})
	t.Run("an intent is one however many ask", func(t *testing.T) {
		var mu sync.Mutex
		firsts := 0
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, existed, err := s.Intent(ctx, Action{Key: "nodedown/a/run/0", Kind: "reboot", Site: "princeton"})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if !existed {
					firsts++
				}
			})
		}
		wg.Wait()
		if firsts != 1 {
			t.Errorf("%d were the first", firsts)
		}
		if err := s.Outcome(ctx, "nodedown/a/run/0", Ambiguous, "no answer"); err != nil {
			t.Error(err)
		}
		if err := s.Outcome(ctx, "nodedown/a/run/0", Done, "found on"); err != nil {
			t.Error(err)
		}
		if err := s.Outcome(ctx, "nodedown/a/run/0", Failed, "no"); err == nil {
			t.Error("a known outcome was replaced")
		}
		if n, err := s.CountActions(ctx, "reboot", "princeton", time.Now().Add(-time.Hour)); n != 1 || err != nil {
			t.Errorf("counted %d, %v", n, err)
		}
	})
	t.Run("each try of a message is counted before it is made, and none that has ended is made", func(t *testing.T) {
		const key = "site/princeton/life/mail/0"
		again := func(want bool) {
			t.Helper()
			if may, err := s.TryAgain(ctx, key, "its worker ended"); may != want || err != nil {
				t.Errorf("another try may be made: %t, %v; want %t", may, err, want)
			}
		}
		if _, _, err := s.Intent(ctx, Action{Key: key, Kind: KindNotice, Site: "princeton"}); err != nil {
			t.Fatal(err)
		}
		again(false) // the first has not begun
		if mine, err := s.Commit(ctx, key); !mine || err != nil {
			t.Fatal(mine, err)
		}
		again(true)
		again(true)
		if err := s.Outcome(ctx, key, Sent, "2 accepted"); err != nil {
			t.Error(err)
		}
		again(false)
		if a, err := s.Action(ctx, key); a.Times != 3 || a.Outcome != Sent ||
			a.Detail != "its worker ended; then 2 accepted" || err != nil {
			t.Errorf("the ledger has %d tries, %s, %q, %v", a.Times, a.Outcome, a.Detail, err)
		}
	})
	t.Run("one worker at a time holds a PCU", func(t *testing.T) {
		release, err := s.LockPCU(ctx, 5)
		if err != nil {
			t.Fatal(err)
		}
		second, giveUp := context.WithCancel(ctx)
		defer giveUp()
		go func() {
			defer giveUp()
			awaitLockWaiter(ctx, s)
		}()
		if _, err := s.LockPCU(second, 5); !errors.Is(err, ErrBusy) {
			t.Errorf("a second holder gets %v", err)
		}
		release()
		if release, err = s.LockPCU(ctx, 5); err != nil {
			t.Errorf("after release: %v", err)
		} else {
			release()
		}
	})
	t.Run("a blacklist entry ends by itself", func(t *testing.T) {
		now := time.Now()
		if err := s.AddBlacklist(ctx, BlacklistEntry{Kind: "site", Target: "princeton", Starts: now.Add(-time.Hour),
			Until: now.Add(time.Hour), Owner: "me", Reason: "move"}); err != nil {
			t.Fatal(err)
		}
		if e, on, err := s.Blacklisted(ctx, "x", "princeton", "", now); !on || err != nil || e.Reason != "move" {
			t.Errorf("now: %+v %v %v", e, on, err)
		}
		if _, on, _ := s.Blacklisted(ctx, "x", "princeton", "", now.Add(2*time.Hour)); on {
			t.Error("it never ends")
		}
	})
}

// awaitLockWaiter returns when a connection waits for the lock of a PCU, or nothing can be asked any more.
func awaitLockWaiter(ctx context.Context, s *Store) {
	for waits := false; !waits; time.Sleep(5 * time.Millisecond) {
		const query = `select exists (select from pg_locks join pg_database d on d.oid = database
			where d.datname = current_database() and locktype = 'advisory' and classid = $1::oid and not granted)`
		if err := s.pool.QueryRow(ctx, query, uint32(pcuLocks)).Scan(&waits); err != nil {
			return
		}
	}
}

func TestPCUsThatShareAnAddressAreToldApart(t *testing.T) {
	got := pcuNames([]plc.PCU{{PCUID: 1, Hostname: "a", IP: "10.0.0.1"}, {PCUID: 2, Hostname: "b", IP: "10.0.0.1"},
		{PCUID: 3, IP: "10.0.0.2"}, {PCUID: 4},
		{PCUID: 5, Hostname: "gate", IP: "10.0.0.3:2301"},
		{PCUID: 6, Hostname: "gate", IP: "10.0.0.3:2302"}, {PCUID: 7}})
	want := map[int]string{1: "a", 2: "b", 3: "10.0.0.2", 4: "pcu-4", 5: "pcu-5", 6: "pcu-6", 7: "pcu-7"}
	if !maps.Equal(got, want) {
		t.Errorf("named %v, want %v", got, want)
	}
}

func TestLocksOfPCUsDoNotEatTheConnections(t *testing.T) {
	s := open(t)
	release, err := s.LockPCU(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for id := range mostLocks - 1 {
		release, err := s.LockPCU(t.Context(), 10+id)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("while all locks are held: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.LockPCU(short, 2); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	release()
	if release, err = s.LockPCU(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	release()
}

// A sweep locks every PCU in turn: it is not to make a connection for each, and no lock may stay behind on one.
func TestALockLeavesItsConnectionToTheNext(t *testing.T) {
	s := open(t)
	for id := range 20 {
		release, err := s.LockPCU(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	var held int
	const locked = `select count(*) from pg_locks join pg_database d on d.oid = database
		where d.datname = current_database() and locktype = 'advisory'`
	if err := s.pool.QueryRow(t.Context(), locked).Scan(&held); err != nil || held != 0 {
		t.Errorf("%d locks stay, %v", held, err)
	}
	if made := s.locks.Stat().NewConnsCount(); made != 1 {
		t.Errorf("20 locks, one after the other, made %d connections", made)
	}
}

// Postgres may end a session that holds a lock: its connection is not for the next.
func TestALockThatWasLostIsReleasedWithoutHarm(t *testing.T) {
	s := open(t)
	release, err := s.LockPCU(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	const end = `select pg_terminate_backend(pid) from pg_locks join pg_database d on d.oid = database
		where d.datname = current_database() and locktype = 'advisory'`
	if _, err := s.pool.Exec(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	release()
	if release, err = s.LockPCU(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	release()
}

func TestAPostgresThatIsSilentIsNoOtherWorker(t *testing.T) {
	s := open(t)
	cfg := s.locks.Config()
	cfg.ConnConfig.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	silent, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (&Store{locks: silent}).LockPCU(short, 1); err == nil || errors.Is(err, ErrBusy) {
		t.Errorf("no answer within the time: %v", err)
	}
}

func TestAStoreClosesWhileALockIsHeld(t *testing.T) {
	s := open(t)
	release, err := s.LockPCU(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("it waits for the lock")
	}
	release()
	<-closed
	for deadline := time.Now().Add(time.Minute); s.locks.Stat().TotalConns() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection of the lock stays")
		}
	}
}
