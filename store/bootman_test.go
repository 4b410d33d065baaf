package store

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
)

func TestBootman(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	const node, sequence = "planetlab1.princeton.example", "bminit-cfg-auth-authfail-debug-done"
	t.Run("the shipped sequences are there", func(t *testing.T) {
		seed, err := bootman.Seed()
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.BootSequences(ctx)
		if err != nil || len(list) != len(seed) {
			t.Fatalf("%d of %d, %v", len(list), len(seed), err)
		}
		for _, k := range seed {
			if got, err := s.BootSequence(ctx, k.Sequence); err != nil || got.Action != string(k.Action) ||
				got.Owner != "shipped" {
				t.Errorf("%s is %+v, %v", k.Sequence, got, err)
			}
		}
	})
	t.Run("an admin adds a row and changes one", func(t *testing.T) {
		if _, err := s.BootSequence(ctx, "bminit-new-done"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("an unknown sequence gives %v", err)
		}
		for _, k := range []bootman.Known{{Sequence: "bminit-new-done", Action: bootman.FsckRepair},
			{Sequence: sequence, Action: bootman.NodeConfigNotice}} {
			if err := s.SetBootSequence(ctx, k, "ann"); err != nil {
				t.Fatal(err)
			}
			if got, err := s.BootSequence(ctx, k.Sequence); err != nil || got.Action != string(k.Action) ||
				got.Owner != "ann" {
				t.Errorf("%+v is %+v, %v", k, got, err)
			}
		}
		if err := s.SetBootSequence(ctx, bootman.Known{Sequence: "bminit-done", Action: "dance"}, "ann"); err == nil {
			t.Error("an action nobody knows was taken")
		}
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.BootSequence(ctx, sequence); got.Owner != "ann" {
			t.Errorf("a start of the worker takes the admin's row back: %+v", got)
		}
	})
	t.Run("the last log reads back, and only so many are kept", func(t *testing.T) {
		if _, err := s.LastBootLog(ctx, node); !errors.Is(err, ErrNotFound) {
			t.Errorf("no log gives %v", err)
		}
		for i := range logsKept + 3 {
			if err := s.SaveBootLog(ctx, BootLog{Node: node, At: time.Now(), Sequence: sequence,
				Log: fmt.Appendf(nil, "log %d \x00\xff", i)}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.LastBootLog(ctx, node)
		if err != nil || string(got.Log) != fmt.Sprintf("log %d \x00\xff", logsKept+2) ||
			got.Sequence != sequence || got.Cut {
			t.Errorf("the last log is %+v, %v", got, err)
		}
		var n int
		if err := s.pool.QueryRow(ctx, `select count(*) from bootman_logs`).Scan(&n); err != nil || n != logsKept {
			t.Errorf("%d logs are kept, %v", n, err)
		}
	})
	t.Run("a log is sealed at rest, and one from before is still read", func(t *testing.T) {
		if err := s.SaveBootLog(ctx, BootLog{Node: "sealed", At: time.Now(), Sequence: "done",
			Log: []byte("the log")}); err != nil {
			t.Fatal(err)
		}
		var raw []byte
		if err := s.pool.QueryRow(ctx, `select log from bootman_logs where node = 'sealed'`).Scan(&raw); err != nil ||
			bytes.HasPrefix(raw, gzipMagic) {
			t.Fatalf("at rest it is %q, %v", raw, err)
		}
		s.exec(t, `update bootman_logs set node = 'other' where node = 'sealed'`)
		if l, err := s.LastBootLog(ctx, "other"); err == nil {
			t.Errorf("it passes for the log of another node: %q", l.Log)
		}
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write([]byte("an old log"))
		_ = w.Close()
		s.exec(t, `update bootman_logs set log = $1 where node = 'other'`, packed.Bytes())
		if l, err := s.LastBootLog(ctx, "other"); err != nil || string(l.Log) != "an old log" {
			t.Errorf("a log from before reads %q, %v", l.Log, err)
		}
		s.exec(t, `delete from bootman_logs where node = 'other'`)
	})
	t.Run("a long log is cut and packed", func(t *testing.T) {
		if err := s.SaveBootLog(ctx, BootLog{Node: "big", At: time.Now(), Sequence: "done",
			Log: bytes.Repeat([]byte("no news\n"), bootman.MaxOutput/4)}); err != nil {
			t.Fatal(err)
		}
		var packed int
		if err := s.pool.QueryRow(ctx, `select length(log) from bootman_logs where node = 'big'`).Scan(
			&packed); err != nil || packed > 100_000 {
			t.Errorf("it takes %d bytes, %v", packed, err)
		}
		if got, err := s.LastBootLog(ctx, "big"); err != nil || len(got.Log) != bootman.MaxOutput || !got.Cut {
			t.Errorf("%d bytes come back, cut %v, %v", len(got.Log), got.Cut, err)
		}
	})
	t.Run("a repair is kept once, and found by node and time", func(t *testing.T) {
		now := time.Now()
		for _, key := range []string{"failboot/a/run/0.0", "failboot/a/run/0.0", "failboot/a/run/1.0"} {
			if err := s.AddBootRepair(ctx, BootRepair{Key: key, Node: node, Sequence: sequence, Action: "fsck_repair",
				At: now}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			node  string
			since time.Time
			want  int
		}{{node, now.Add(-time.Minute), 2}, {node, now.Add(time.Minute), 0}, {"other", now.Add(-time.Minute), 0}} {
			if list, err := s.BootRepairs(ctx, c.node, c.since); err != nil || len(list) != c.want || c.want > 0 &&
				list[0].Key != "failboot/a/run/1.0" {
				t.Errorf("%+v: %+v, %v", c, list, err)
			}
		}
	})
	t.Run("a host key is kept, and its change is history", func(t *testing.T) {
		if key, err := s.HostKey(ctx, node); key != "" || err != nil {
			t.Errorf("an unknown host has key %q, %v", key, err)
		}
		var prints []string
		for range 2 {
			public, _, err := ed25519.GenerateKey(nil)
			if err != nil {
				t.Fatal(err)
			}
			key, err := ssh.NewPublicKey(public)
			if err != nil {
				t.Fatal(err)
			}
			prints = append(prints, ssh.FingerprintSHA256(key))
			if err := s.SetHostKey(ctx, node, key, "PLC says it is in debug mode", time.Now()); err != nil {
				t.Fatal(err)
			}
			if got, err := s.HostKey(ctx, node); got != strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) ||
				err != nil {
				t.Errorf("its key is %q, %v", got, err)
			}
		}
		h, err := s.History(ctx, node, 10)
		if err != nil || len(h) != 1 || h[0].Was != prints[0] || h[0].Became != prints[1] ||
			h[0].Reason != "PLC says it is in debug mode" {
			t.Errorf("history is %+v, %v", h, err)
		}
	})
}
