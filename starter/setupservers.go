package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/doctor"
)

// database makes one on this machine where that is wished, and brings the tables up to date.
func (s *setup) database(ctx context.Context) error {
	if s.local {
		if err := s.localDatabase(ctx); err != nil {
			return err
		}
		if err := s.load(); err != nil {
			return err
		}
	}
	if err := s.examine(ctx, "config.files", "postgres.answers"); err != nil {
		return err
	}
	const name, about = "setup.tables", "Postgres has the tables of this build"
	db, err := connect.Store(ctx, s.cfg)
	if err != nil {
		return s.fail(name, about, "give the account the right to create in the schema public, as the owner of the database has", err)
	}
	db.Close()
	if err := s.ok(name, about, "they are up to date"); err != nil {
		return err
	}
	return s.examine(ctx, "postgres.rights", "clock")
}

// localDatabase makes role and database monitor in the Postgres of this machine, as its superuser, which root may become.
// A database that is there keeps its data; the role gets the password of our file.
func (s *setup) localDatabase(ctx context.Context) error {
	const name, about = "setup.database", "this machine's Postgres has a database for Monitor"
	file := s.in("database_url")
	if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) != "" {
		return s.ok(name, about, "%s is there", file)
	}
	password := rand.Text()
	sql := fmt.Sprintf(`\set ON_ERROR_STOP on
select 'create role monitor login' where not exists (select from pg_roles where rolname = 'monitor') \gexec
alter role monitor password '%s';
select 'create database monitor owner monitor' where not exists (select from pg_database where datname = 'monitor') \gexec
`, password)
	cmd := exec.CommandContext(ctx, "runuser", "-u", "postgres", "--", "psql", "-qXAt", "-d", "postgres")
	cmd.Dir, cmd.Stdin = "/", strings.NewReader(sql)
	if out, err := cmd.CombinedOutput(); err != nil {
		return s.fail(name, about, "install and start Postgres (apt-get install postgresql), and run this as root",
			fmt.Errorf("%w: %s", err, strings.ReplaceAll(strings.TrimSpace(string(out)), password, "[secret]")))
	}
	port, err := exec.CommandContext(ctx, "runuser", "-u", "postgres", "--", "psql", "-qXAt", "-d", "postgres", "-c", "show port").Output()
	if err != nil {
		return s.fail(name, about, "look into the log of Postgres", err)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword("monitor", password), Path: "/monitor",
		Host: net.JoinHostPort("127.0.0.1", strings.TrimSpace(string(port)))}
	if err := s.keep(file, []byte(u.String()+"\n"), 0o600); err != nil {
		return s.fail(name, about, "check the folder", err)
	}
	return s.ok(name, about, "database and role monitor are made; %s holds the way there", file)
}

// embedded is the word for a Temporal server that setup starts itself, at a port or the usual one.
const embedded = "embedded"

// embeddedAddress is where the embedded server listens; any other address stays.
func embeddedAddress(value string) string {
	word, port, _ := strings.Cut(value, ":")
	if word != embedded {
		return value
	}
	if port == "" {
		port = "7233"
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// temporal starts the embedded server where that is wished, and asks whichever there is.
func (s *setup) temporal(ctx context.Context) error {
	const name, about = "setup.temporal", "the embedded Temporal server runs"
	state := s.in("temporal.db")
	_, err := os.Stat(state)
	if strings.HasPrefix(*s.flags["temporal.address"], embedded) || err == nil || s.hasUnit("monitor-temporal") {
		said, err := s.serve(ctx, s.cfg.Temporal.Address, "monitor-temporal", "temporal-dev", "--ip", "127.0.0.1",
			"--port", portOf(s.cfg.Temporal.Address), "--ui-port", "-1", "--db-filename", state, "--namespace",
			s.cfg.Temporal.Namespace)
		if err != nil {
			return s.fail(name, about, "install monitor-temporal, or name a Temporal server with --temporal HOST:PORT", err)
		}
		if err := s.ok(name, about, "%s; it is for trials, and not for production", said); err != nil {
			return err
		}
	}
	return s.examine(ctx, "temporal.answers", "temporal.retention")
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// hasUnit reports whether systemd starts a unit of ours at boot.
func (s *setup) hasUnit(unit string) bool {
	return s.start == startSystemd && exec.Command("systemctl", "is-enabled", "--quiet", unit).Run() == nil
}

// serve sees to it that a program serves an address: by its unit, or as a process that outlives us. One that serves
// already is left alone.
func (s *setup) serve(ctx context.Context, address, unit, program string, args ...string) (string, error) {
	if dials(ctx, address) {
		return "it answers at " + address, nil
	}
	if s.start == startSystemd {
		if out, err := exec.CommandContext(ctx, "systemctl", "enable", "--now", unit).CombinedOutput(); err != nil {
			return "", fmt.Errorf("systemctl enable --now %s: %w: %s", unit, err, strings.TrimSpace(string(out)))
		}
		return "unit " + unit + " is started, and starts with the machine", s.awaitServing(ctx, address, nil)
	}
	path, err := s.program(program)
	if err != nil {
		return "", err
	}
	log := s.in(unit + ".log")
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(s.file), f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	pid := s.in(unit + ".pid")
	if err := os.WriteFile(pid, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600); err != nil {
		return "", err
	}
	if err := s.awaitServing(ctx, address, ended); err != nil {
		return "", fmt.Errorf("%s: %w; see %s", program, err, log)
	}
	return fmt.Sprintf("%s is started; it writes to %s, and ends with kill $(cat %s)", program, log, pid), nil
}

// awaitServing waits until something serves an address, or what was started has ended.
func (s *setup) awaitServing(ctx context.Context, address string, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for !dials(ctx, address) {
		select {
		case err := <-ended:
			return fmt.Errorf("it ended: %w", errors.Join(err, errors.New("before it answered")))
		case <-ctx.Done():
			return fmt.Errorf("nothing answers at %s within %s", address, settle)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func dials(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// program finds one of ours: in --bin, beside this one, where the packages put it, or in PATH.
func (s *setup) program(name string) (string, error) {
	folders := []string{s.bin, "/usr/lib/monitor"}
	if own, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(own))
	}
	for _, dir := range folders {
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return filepath.Abs(path) // it is started elsewhere
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no %s is found: install its package, or name its folder with --bin", name)
	}
	return path, nil
}

// run starts the worker.
func (s *setup) run(ctx context.Context) error {
	const name, about = "setup.worker", "the worker runs"
	if s.cfg.Mode != config.ModeObserve { // somebody has set up more than this walk does
		s.warn("the mode in %s is %s: the worker will act", s.file, s.cfg.Mode)
	}
	if s.start == startNothing {
		return s.tell(doctor.Finding{Name: name, About: about, State: doctor.Skipped,
			Found: "it is not started, as --start no asks: monitor-worker --config " + s.file})
	}
	if err := s.account(); err != nil {
		return err
	}
	said, err := s.serve(ctx, s.cfg.Metrics.Listen, "monitor-worker", "monitor-worker", "--config", s.file)
	if err != nil {
		return s.fail(name, about, "journalctl -u monitor-worker, or its log, says why", err)
	}
	return s.ok(name, about, "%s", said)
}

// account has the worker read the configuration as the account by which its unit runs.
func (s *setup) account() error {
	const name, about = "setup.account", "the worker's account may read all that it needs"
	if s.start != startSystemd {
		return nil
	}
	worker, err := s.program("monitor-worker")
	if err == nil {
		err = serviceMay(worker, "--config", s.file, "--check-config")
	}
	if err != nil {
		return s.fail(name, about, "chown "+serviceUser+": FILE and chmod 600 FILE; each folder above it must let the account pass", err)
	}
	return s.ok(name, about, "as %s", serviceUser)
}
