package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/doctor"
)

// setupSettings are what a setup must know, in the order in which it asks.
func setupSettings() []setupSetting {
	return []setupSetting{
		{key: "inventory.file", flag: "inventory", about: "a file of the machines, where there is no PLC: docs/lab.md"},
		{key: "plc.url", flag: "plc-url", ask: "Address of PLC's API", example: "https://plc.example.org/PLCAPI/", must: true},
		{key: "plc.username", flag: "plc-username", ask: "Account of an admin there", example: "monitor@example.org", must: true},
		{key: "plc.password_file", flag: "plc-password-file", ask: "Password of that account", secret: "plc_password", must: true},
		{key: "plc.ca_file", flag: "plc-ca-file", beside: "plc_ca.pem", about: "certificate authority of PLC, where it is your own"},
		{key: "database.url_file", flag: "database-url-file", ask: "Postgres: its URL, or local for one on this machine",
			example: "postgres://monitor:PASSWORD@db.example.org/monitor", secret: "database_url", must: true},
		{key: "temporal.address", flag: "temporal", ask: "Temporal: host:port, or embedded for a trial", example: "embedded", must: true},
		{key: "temporal.namespace", flag: "temporal-namespace", about: "its namespace"},
		{key: "probe.ssh_key_file", flag: "ssh-key", beside: "ssh_key", ask: "Private key that opens the nodes; empty: make one", optional: true},
		{key: "mail.admins", flag: "admins", ask: "Mail addresses of those who run Monitor", optional: true},
	}
}

// setupSetting is one of them.
type setupSetting struct {
	key, flag      string
	ask, example   string // the question; empty: it is not asked
	about          string // for --help, where there is no question
	secret         string // the file into which the answer goes
	beside         string // the file into which one is copied that the worker's account may not read; empty: secret
	must, optional bool
}

func (s setupSetting) help() string {
	text := s.ask
	if s.secret != "" {
		text = "file that holds it: " + s.ask
	}
	if s.about != "" {
		text = s.about
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// setup is one walk.
type setup struct {
	*app
	cmd      *cobra.Command
	file     string // the configuration
	flags    map[string]*string
	local    bool   // make role and database on this machine's Postgres
	ansible  string // an inventory for ansible-inventory -i
	site     string
	start    string
	bin      string
	cfg      *config.Config
	findings []doctor.Finding

	fromEnvironment string // the URL of the database, which goes into a file
}

// The values of --start.
const (
	startSystemd = "systemd"
	startProcess = "process"
	startNothing = "no"
)

const setupAbout = `Bring Monitor up, from nothing to a fleet that is watched, in observe mode: it looks and says what it would do, and
does nothing. The walk asks what it must know, on a terminal, and takes what flags and the configuration say already. It
writes the configuration (--config, else /etc/monitor/monitor.yaml) and its secrets, makes keys, reaches Postgres,
Temporal and PLC, tries each right of the account, reads the inventory (PLC's, a file: --inventory, or Ansible's: --ansible), looks at one site and dry-runs its PCUs, starts
the worker, waits for its first sweep and shows what it found. Each step says what it checks, what it found and how to
mend it. It may be repeated at any time: what is there already stays as it is.

A trial needs nothing but this machine: --database local makes a database in its Postgres, --temporal embedded runs a
Temporal server that is good enough to try Monitor, and not for production.`

func (a *app) setup() *cobra.Command {
	s := &setup{app: a, flags: map[string]*string{}}
	cmd := &cobra.Command{
		Use: "setup", Short: "Bring Monitor up step by step, until it watches in observe mode", Args: takes(), Long: setupAbout,
		Example: `  monitor setup
  monitor setup --config lab/monitor.yaml --plc-url https://plc.example.org/PLCAPI/ --database local --temporal embedded
  monitor setup --start no`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.cmd = cmd
			return s.walk(cmd.Context())
		},
	}
	f := cmd.Flags()
	for _, x := range setupSettings() {
		s.flags[x.key] = f.String(x.flag, "", x.help())
	}
	f.String("database", "", "local: make role and database in the Postgres of this machine, as root")
	f.StringVar(&s.ansible, "ansible", "", "an `inventory` of Ansible, as for ansible-inventory -i, where there is no PLC: docs/lab.md")
	f.StringVar(&s.site, "site", "", "the `site` to look at; else the first with nodes and a PCU")
	f.StringVar(&s.start, "start", "", "how the worker is started: systemd, process or no (default systemd where it runs)")
	f.StringVar(&s.bin, "bin", "", "`folder` of monitor-worker and temporal-dev; else beside this program, and in PATH")
	return cmd
}

// stop says that the walk cannot go on; the finding has been told.
var errStop = errors.New("mend that, and run `monitor setup` again: what is done stays done")

func (s *setup) walk(ctx context.Context) error {
	s.file = s.app.flags.Path
	if s.file == "" {
		s.file = os.Getenv("MONITOR_CONFIG")
	}
	if s.file == "" {
		s.file = systemFile
	}
	file, err := filepath.Abs(s.file)
	if err != nil {
		return err
	}
	s.file, s.app.flags.Path = file, file
	if err := s.choose(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.write, s.keys, s.database, s.temporal, s.central, s.inventory,
		s.sample, s.run, s.firstSweep} {
		if err := step(ctx); err != nil {
			if errors.Is(err, errStop) && s.documents() {
				_ = s.app.show(s.findings, nil)
			}
			if errors.Is(err, errStop) {
				return &exitError{exitBroken, err}
			}
			return err
		}
	}
	if s.documents() {
		return s.app.show(s.findings, nil)
	}
	s.say("\nMonitor watches, in observe mode: it looks and says what it would do, and does nothing.\n"+
		"  monitor --config %s status      what it sees\n"+
		"  monitor --config %s issue list  what it would work on\n"+
		"When you agree with it, set `mode: act` in %s and restart the worker.", s.file, s.file, s.file)
	return verdict(s.findings)
}

// choose checks the flags and fills in how the worker is started.
func (s *setup) choose() error {
	switch v := s.cmd.Flag("database").Value.String(); v {
	case "":
	case "local":
		s.local = true
	default:
		return badInput("--database takes local; the URL of another one may hold a password, and goes into a file: --database-url-file")
	}
	if s.start == "" {
		s.start = startProcess
		if hasSystemd() {
			s.start = startSystemd
		}
	}
	if s.start != startSystemd && s.start != startProcess && s.start != startNothing {
		return badInput("--start must be systemd, process or no, not %q", s.start)
	}
	return nil
}

func hasSystemd() bool {
	info, err := os.Stat("/run/systemd/system") // sd_booted(3)
	return err == nil && info.IsDir()
}

// tell notes a finding, and prints it for people. A failed one ends the walk.
func (s *setup) tell(f doctor.Finding) error {
	s.findings = append(s.findings, f)
	if !s.documents() {
		s.drawFinding(f)
	}
	if f.State == doctor.Failed {
		return errStop
	}
	return nil
}

func (s *setup) ok(name, about, format string, args ...any) error {
	return s.tell(doctor.Finding{Name: name, About: about, State: doctor.OK, Found: fmt.Sprintf(format, args...)})
}

func (s *setup) fail(name, about, remedy string, err error) error {
	return s.tell(doctor.Finding{Name: name, About: about, State: doctor.Failed, Found: err.Error(), Remedy: remedy})
}

// examine makes checks of the doctor part of the walk.
func (s *setup) examine(ctx context.Context, only ...string) error {
	var stop error
	doctor.Run(ctx, doctor.Options{Config: s.cfg, Only: only, Each: checkTime, Now: s.now, Tell: func(f doctor.Finding) {
		stop = errors.Join(stop, s.tell(f))
	}})
	if stop != nil {
		return errStop
	}
	return nil
}

// settle is how long a server that was just started has to answer.
const settle = time.Minute
