package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/testbed/pcudev"
)

// pcuSettings say which device runs alone, and how.
type pcuSettings struct {
	pcudev.Options
	listen, passwordFile, stateFile string
	fault, faultFile                string
	outlets                         int
	off                             []int
}

// passwordVariable names the environment variable that may hold the device's password.
const passwordVariable = "MONITOR_PCU_PASSWORD"

const pcuAbout = `Run one simulated power control unit, so that any client can be pointed at it.

It speaks as the model does, one session at a time, and switches outlets that nothing is plugged into. --state-file
shows, in JSON, which are on and every power event with its time; it is written anew at every event, and at the start.

The password comes from --password-file, else from ` + passwordVariable + `; without either, the device makes one up and prints it.

Faults, with commas between, from the start (--fault) or while it runs (--fault-file: they are what the file says, read
again and again; an empty file mends):`

func pcuCommand() *cobra.Command {
	s := pcuSettings{}
	cmd := &cobra.Command{
		Use: "pcu", Short: "Run one simulated power control unit alone, until Ctrl-C", Args: cobra.NoArgs,
		Long: pcuAbout + "\n\n" + faultList() + "\nModels and their transports:\n\n" + modelList(),
		Example: `  monitor-testbed pcu --model APCControl12p3 --listen 127.0.0.1:2323 --user apc --password-file pw --state-file state.json
  monitor-testbed pcu --model BayTech --transport ssh --listen 127.0.0.1:0 --outlets 8 --fault "asks the user name again"
  monitor-testbed pcu --model OpenIPMI --listen 127.0.0.1:6230 --off-time 3s --fault-file fault & echo busy > fault`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Model, "model", "", "`model` as PLC names it")
	f.StringVar(&s.Transport, "transport", "", "`transport`, of those the model has (default its first)")
	f.StringVar(&s.listen, "listen", "127.0.0.1:0", "`address` and port to answer on; port 0 takes any that is free")
	f.IntVar(&s.outlets, "outlets", 8, "`number` of outlets")
	f.IntSliceVar(&s.off, "off", nil, "`outlets` that are off at the start, such as 2,3")
	f.StringVar(&s.User, "user", "admin", "`name` to log in with")
	f.StringVar(&s.passwordFile, "password-file", "", "`file` that holds the password")
	f.StringVar(&s.stateFile, "state-file", "", "`file` that shows the outlets and the log of power events")
	f.DurationVar(&s.OffTime, "off-time", time.Second, "how long a reboot leaves an outlet off")
	f.StringVar(&s.fault, "fault", "", "`faults` that it has from the start")
	f.StringVar(&s.faultFile, "fault-file", "", "`file` that says which faults it has now")
	_ = cmd.MarkFlagRequired("model")
	_ = cmd.RegisterFlagCompletionFunc("model", cobra.FixedCompletions(pcudev.Models(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func faultList() string {
	var b strings.Builder
	for _, f := range pcudev.Faults() {
		fmt.Fprintf(&b, "  %-26s %s\n", f.Name, f.About)
	}
	return b.String()
}

func modelList() string {
	var b strings.Builder
	for _, m := range pcudev.Models() {
		fmt.Fprintf(&b, "  %-26s %s\n", m, strings.Join(pcudev.Transports(m), ", "))
	}
	return b.String()
}

func (s pcuSettings) run(ctx context.Context, out, errs io.Writer) error {
	made, err := s.password()
	if err != nil {
		return err
	}
	rack, err := pcudev.NewRack(s.outlets, s.off...)
	if err != nil {
		return err
	}
	s.Outlets = rack
	d, err := pcudev.New(s.Options)
	if err != nil {
		return err
	}
	if err := breakAs(d, s.fault); err != nil {
		return fmt.Errorf("--fault: %w", err)
	}
	if s.Transport == "" {
		s.Transport = pcudev.Transports(s.Model)[0]
	}
	where, serve, err := listen(d, s.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if s.stateFile != "" {
		if err := rack.Keep(s.stateFile, pcudev.Identity{Model: s.Model, Transport: s.Transport, Listen: where}); err != nil {
			return fmt.Errorf("--state-file: %w", err)
		}
	}
	fmt.Fprintf(out, "%s listens on %s (%s), user %s%s; %d outlets; Ctrl-C ends it\n", s.Model, where, s.Transport, s.User, made, s.outlets)
	if s.faultFile != "" {
		go followFault(ctx, d, s.faultFile, errs)
	}
	return serve(ctx)
}

// password finds the password; made tells one that had to be made up.
func (s *pcuSettings) password() (made string, err error) {
	if s.passwordFile != "" {
		text, err := os.ReadFile(s.passwordFile)
		s.Password = strings.TrimRight(string(text), "\r\n")
		if err == nil && s.Password == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		return "", nil
	}
	if s.Password = os.Getenv(passwordVariable); s.Password != "" {
		return "", nil
	}
	s.Password = rand.Text()[:10]
	return ", password " + s.Password, nil
}

// listen binds the device's socket; serve answers on it until ctx ends.
func listen(d pcudev.Device, address string) (where string, serve func(context.Context) error, err error) {
	until := func(close func() error, answer func() error) func(context.Context) error {
		return func(ctx context.Context) error {
			defer context.AfterFunc(ctx, func() { _ = close() })()
			if err := answer(); ctx.Err() == nil {
				return err
			}
			return nil
		}
	}
	if d.Network() == "udp" {
		c, err := net.ListenPacket("udp", address)
		if err != nil {
			return "", nil, err
		}
		return c.LocalAddr().String(), until(c.Close, func() error { return d.ServePacket(c) }), nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", nil, err
	}
	return l.Addr().String(), until(l.Close, func() error { return d.Serve(l) }), nil
}

// breakAs gives a device some of the faults it can have, or mends it.
func breakAs(d pcudev.Device, fault string) error {
	var found, names []string
	for _, f := range d.Faults() {
		names = append(names, f.Name)
	}
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s), "-", " ")) }
	for _, one := range strings.Split(fault, ",") {
		i := slices.IndexFunc(names, func(name string) bool { return plain(name) == plain(one) })
		switch {
		case i >= 0:
			found = append(found, names[i])
		case plain(one) != "":
			return fmt.Errorf("no fault is %q; there are %s", one, strings.Join(names, ", "))
		}
	}
	d.Break(strings.Join(found, ","))
	return nil
}

// followFault makes the device's fault what a file says. The file may come later, and go.
func followFault(ctx context.Context, d pcudev.Device, path string, errs io.Writer) {
	last := ""
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) || string(text) == last {
			continue
		}
		last = string(text)
		if err := breakAs(d, strings.TrimSpace(last)); err != nil {
			fmt.Fprintln(errs, "--fault-file:", err)
		}
	}
}
