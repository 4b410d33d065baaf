package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/clean"
)

// BootSequence is a row of the table that says what a boot sequence calls for.
type BootSequence struct {
	Sequence string    `json:"sequence"`
	Action   string    `json:"action"`
	Owner    string    `json:"owner"` // who set it; shipped: it came with Monitor
	Changed  time.Time `json:"changed"`
}

const bootSequenceSQL = `select sequence, action, owner, changed from bootman_sequences `

// BootSequences reads the whole table.
func (s *Store) BootSequences(ctx context.Context) ([]BootSequence, error) {
	return many[BootSequence](ctx, s, "boot sequences", bootSequenceSQL+`order by action, sequence`)
}

// BootSequence reads one row; ErrNotFound when nobody knows the sequence.
func (s *Store) BootSequence(ctx context.Context, sequence string) (BootSequence, error) {
	return one[BootSequence](ctx, s, "boot sequence "+sequence, bootSequenceSQL+`where sequence = $1`, sequence)
}

// SetBootSequence says what a sequence calls for from now on.
func (s *Store) SetBootSequence(ctx context.Context, k bootman.Known, owner string) error {
	if err := k.Check(); err != nil {
		return err
	}
	if err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return PutBootSequence(k, owner)(ctx, tx)
	}); err != nil {
		return fmt.Errorf("boot sequence %s: %w", k.Sequence, err)
	}
	return nil
}

// BootLog is a BootManager's log as it was fetched from a node.
type BootLog struct {
	Node     string    `json:"node"`
	At       time.Time `json:"at"`
	Sequence string    `json:"sequence"`
	Size     int       `json:"size"` // bytes
	Cut      bool      `json:"cut"`  // the node had more
	// Pushed says that it came from the node's address by itself. Anybody at that address may have made it up.
	Pushed bool   `json:"pushed"`
	Log    []byte `json:"-"`
}

// gzipMagic is how compressed data begin (RFC 1952, 2.3.1).
var gzipMagic = []byte{0x1f, 0x8b}

// logsKept is how many logs of one node are kept, of those that were fetched and of those it sent; older ones are dropped.
const logsKept = 20

// SaveBootLog keeps a log, compressed and sealed: a log may hold what nobody has thought of. What is longer than
// bootman.MaxOutput is cut.
func (s *Store) SaveBootLog(ctx context.Context, l BootLog) error {
	if len(l.Log) > bootman.MaxOutput {
		l.Log, l.Cut = l.Log[:bootman.MaxOutput], true
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(l.Log); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if s.seal == nil {
		return fmt.Errorf("boot log of %s: without a key it is not kept: %w", l.Node, errNoSealKey)
	}
	b := &pgx.Batch{}
	b.Queue(`insert into bootman_logs (node, at, sequence, size, cut, pushed, log) values ($1, $2, $3, $4, $5, $6, $7)`,
		l.Node, l.At, l.Sequence, len(l.Log), l.Cut, l.Pushed, s.seal.seal(bond("boot log", l.Node), packed.Bytes()))
	// those that were pushed take no place of one that was fetched
	b.Queue(`delete from bootman_logs where node = $1 and pushed = $3 and id not in (select id from bootman_logs
		where node = $1 and pushed = $3 order by id desc limit $2)`, l.Node, logsKept, l.Pushed)
	if l.Pushed {
		b.Queue(`insert into history (at, kind, target, was, became, reason)
			select $2, 'boot log', $1, '', $3, 'it sent its log by itself' where $3 is distinct from (select became from history
				where kind = 'boot log' and target = $1 order by at desc, id desc limit 1)`, l.Node, l.At, l.Sequence)
	}
	return s.send(ctx, "save the boot log of "+l.Node, b)
}

// BootEnd reads how the boot of a node has last ended: the sequence of the newest log that was fetched from it since a
// time, or nothing. What is pushed does not count: anybody at the node's address may have made it up.
func (s *Store) BootEnd(ctx context.Context, node string, since time.Time) (sequence string, err error) {
	err = s.pool.QueryRow(ctx, `select sequence from bootman_logs where node = $1 and not pushed and at >= $2
		order by id desc limit 1`, node, since).Scan(&sequence)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the end of the boot of %s: %w", node, err)
	}
	return sequence, nil
}

// LastBootLog reads the log of a node that is the last one, fetched or pushed.
func (s *Store) LastBootLog(ctx context.Context, node string) (BootLog, error) {
	what := "boot log of " + node
	l, err := one[BootLog](ctx, s, what,
		`select node, at, sequence, size, cut, pushed, log from bootman_logs where node = $1 order by id desc limit 1`, node)
	if err != nil {
		return l, err
	}
	packed := l.Log
	// those from before they were sealed are read as they are, until newer ones take their places
	if !bytes.HasPrefix(packed, gzipMagic) {
		if packed, _, err = s.seal.open(bond("boot log", node), packed); err != nil {
			return BootLog{}, fmt.Errorf("%s: %w", what, err)
		}
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		l.Log, err = io.ReadAll(io.LimitReader(r, bootman.MaxOutput))
	}
	if err != nil {
		return l, fmt.Errorf("%s: %w", what, err)
	}
	return l, nil
}

// NodeAt names the node that has an address; ErrNotFound when there is none, or more than one.
func (s *Store) NodeAt(ctx context.Context, ip string) (string, error) {
	var host string
	err := s.pool.QueryRow(ctx, `select min(hostname) from node where ip = $1 and not gone having count(*) = 1`, ip).Scan(&host)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("node at %s: %w", ip, err)
	}
	return host, nil
}

// BootRepair is a repair that was tried on a node because of a sequence. Key is that of the ledger.
type BootRepair struct {
	Key, Node, Sequence, Action string
	At                          time.Time
}

// AddBootRepair writes a repair down, once for each key.
func (s *Store) AddBootRepair(ctx context.Context, r BootRepair) error {
	_, err := s.pool.Exec(ctx, `insert into bootman_repairs (key, node, sequence, action, at)
		values ($1, $2, $3, $4, $5) on conflict (key) do nothing`,
		r.Key, r.Node, r.Sequence, r.Action, r.At)
	if err != nil {
		return fmt.Errorf("repair of %s: %w", r.Node, err)
	}
	return nil
}

// BootRepairs reads what was tried on a node since a time, the latest first.
func (s *Store) BootRepairs(ctx context.Context, node string, since time.Time) ([]BootRepair, error) {
	return many[BootRepair](ctx, s, "repairs of "+node,
		`select key, node, sequence, action, at from bootman_repairs where node = $1 and at >= $2 order by id desc`,
		node, since)
}

// HostKey reads the ssh host key by which a node is known, as in authorized_keys; empty: it is not known.
func (s *Store) HostKey(ctx context.Context, host string) (string, error) {
	var key string
	err := s.pool.QueryRow(ctx, `select key from host_key where host = $1`, host).Scan(&key)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("host key of %s: %w", host, err)
	}
	return key, nil
}

// confirmed is how the reason begins for a key that a person has compared.
const confirmed = "confirmed by "

// ConfirmHostKey writes down that a person vouches for a node's key.
func (s *Store) ConfirmHostKey(ctx context.Context, host string, key ssh.PublicKey, by string, now time.Time) error {
	return s.SetHostKey(ctx, host, key, confirmed+clean.Line(by), now)
}

// HostKeyConfirmed says who has vouched for the key by which a node is known; empty: nobody.
func (s *Store) HostKeyConfirmed(ctx context.Context, host string) (string, error) {
	var reason string
	err := s.pool.QueryRow(ctx, `select reason from host_key where host = $1`, host).Scan(&reason)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("host key of %s: %w", host, err)
	}
	by, is := strings.CutPrefix(reason, confirmed)
	if !is {
		return "", nil
	}
	return by, nil
}

// SetHostKey writes down by which key a node is known from now on, and why; a change goes into the history, by
// fingerprint.
func (s *Store) SetHostKey(ctx context.Context, host string, key ssh.PublicKey, reason string, now time.Time) error {
	text, print := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), ssh.FingerprintSHA256(key)
	b := &pgx.Batch{}
	b.Queue(`insert into history (at, kind, target, was, became, reason) select $3, 'host key', $1, fingerprint, $2, $4
		from host_key where host = $1 and fingerprint <> $2`,
		host, print, now, reason)
	b.Queue(`insert into host_key (host, key, fingerprint, seen, reason) values ($1, $2, $3, $4, $5)
		on conflict (host) do update set key = $2, fingerprint = $3, seen = $4,
		reason = $5`, host, text, print, now, reason)
	return s.send(ctx, "host key of "+host, b)
}

// BootLogs lists the logs that are kept of a node, without their text, the latest first.
func (s *Store) BootLogs(ctx context.Context, node string) ([]BootLog, error) {
	return many[BootLog](ctx, s, "boot logs of "+node, `select node, at, sequence, size, cut, pushed, ''::bytea as log
		from bootman_logs where node = $1 order by id desc`, node)
}

// SequenceCount is how often a boot sequence was found in the logs that are kept.
type SequenceCount struct {
	Sequence string
	Logs     int
	Nodes    int
	Last     time.Time
}

// CountSequences counts the boot sequences in the logs that are kept, the most frequent first.
func (s *Store) CountSequences(ctx context.Context) ([]SequenceCount, error) {
	return many[SequenceCount](ctx, s, "boot sequences", `select sequence, count(*)::int as logs,
		count(distinct node)::int as nodes, max(at) as last from bootman_logs group by sequence order by 2 desc, 1`)
}
