package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/doctor"
)

func (a *app) doctor() *cobra.Command {
	var only []string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Try everything that Monitor needs, and say what to mend", Args: takes(),
		Long: "Try everything that Monitor needs, as it would use it, at any time: the configuration, Postgres, Temporal, PLC with each\n" +
			"right of the account, the mail server, Request Tracker, each ssh key, and a few PCUs by dry run. Nothing is changed.\n" +
			"It ends with 0 when all is well, with 6 when something should be mended, and with 7 when Monitor cannot work so.",
		Example: "  monitor doctor\n  monitor doctor --only plc,ssh\n  monitor doctor -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.examine(cmd, only)
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "only these `checks`, or groups of them, as plc,ssh")
	_ = cmd.RegisterFlagCompletionFunc("only", a.fixed(doctor.Names()...))
	return cmd
}

// checkTime is how long one check may take: a dry run of three PCUs is the longest.
const checkTime = 2 * time.Minute

func (a *app) examine(cmd *cobra.Command, only []string) error {
	for _, o := range only {
		if !slices.ContainsFunc(doctor.Names(), func(n string) bool { return n == o || strings.HasPrefix(n, o+".") }) {
			return badInput("--only: no check is called %q: there are %s", o, strings.Join(doctor.Names(), ", "))
		}
	}
	cfg, err := config.Load(a.configOptions())
	var list []doctor.Finding
	if err != nil {
		list = []doctor.Finding{{Name: "config", About: "the configuration can be read and meant", State: doctor.Failed,
			Found: err.Error(), Remedy: "mend each line; config/monitor.sample.yaml documents every key"}}
		if !a.documents() {
			a.drawFinding(list[0])
		}
	} else {
		each := checkTime
		if a.timeout > 0 {
			each = a.timeout
		}
		o := doctor.Options{Config: cfg, Only: only, Each: each, Now: a.now}
		if !a.documents() {
			o.Tell = a.drawFinding
		}
		list = doctor.Run(cmd.Context(), o)
	}
	if a.documents() {
		if err := a.show(list, nil); err != nil {
			return err
		}
	}
	return verdict(list)
}

// documents reports whether what is printed is for programs.
func (a *app) documents() bool { return a.format != formatTable && a.format != formatWide }

func verdict(list []doctor.Finding) error {
	count := map[doctor.State]int{}
	for _, f := range list {
		count[f.State]++
	}
	switch doctor.Worst(list) {
	case doctor.Failed:
		return &exitError{exitBroken, fmt.Errorf("%d of %d checks failed: Monitor cannot work so", count[doctor.Failed], len(list))}
	case doctor.Warning:
		return &exitError{exitToMend, fmt.Errorf("%d of %d checks found something to mend", count[doctor.Warning], len(list))}
	}
	return nil
}

// drawFinding prints a finding as it comes: what was found, and below it what to do.
func (a *app) drawFinding(f doctor.Finding) {
	lines := strings.Split(f.Found, "\n")
	a.say("%s %s  %s", a.stateOf(f.State), fmt.Sprintf("%-20s", f.Name), lines[0])
	indent := strings.Repeat(" ", 31)
	for _, l := range lines[1:] {
		a.say("%s%s", indent, l)
	}
	if f.Remedy != "" {
		a.say("%s-> %s", indent, f.Remedy)
	}
}

func (a *app) stateOf(s doctor.State) coloured {
	word := fmt.Sprintf("%-8s", s)
	switch s {
	case doctor.OK:
		return a.paint(word, color.FgGreen)
	case doctor.Failed:
		return a.paint(word, color.FgRed)
	case doctor.Warning:
		return a.paint(word, color.FgYellow)
	}
	return a.paint(word, color.Faint)
}
