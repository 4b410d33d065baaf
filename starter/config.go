package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/config"
)

func (a *app) configuration() *cobra.Command {
	cmd := group("config", "Show the configuration in force", "  monitor config show")
	cmd.AddCommand(a.configShow())
	return cmd
}

func (a *app) configShow() *cobra.Command {
	var set bool
	cmd := &cobra.Command{
		Use: "show [SECTION...]", Short: "Show every setting in force, and which place set it",
		Long: `Show every setting in force, or those of some sections, and which place set it: a line of the file, a variable of the
environment, a flag, the preset of the policy, or none ("default"). Secrets are hidden, also those that stand in an address.`,
		Example: `  monitor config show
  monitor config show policy.guard mail
  monitor config show --set-only -o yaml
  monitor config show probe.timeout --set probe.timeout=7s -o json`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			if r, err := a.remote(); err != nil {
				return err
			} else if r != nil {
				return badInput("this command shows the configuration of this machine, and does not work over the API of %s", r.Server)
			}
			all, err := config.Show(a.configOptions())
			if err != nil {
				return badInput("configuration: %w", err)
			}
			list := []config.InForce{}
			for _, name := range args {
				if !slices.ContainsFunc(all, func(s config.InForce) bool { return within(s.Name, name) }) {
					return badInput("no setting and no section is called %q: see `monitor config show -o name`", name)
				}
			}
			for _, s := range all {
				asked := len(args) == 0 || slices.ContainsFunc(args, func(name string) bool { return within(s.Name, name) })
				if asked && !(set && s.Default()) {
					list = append(list, s)
				}
			}
			return a.show(list, func() {
				var rows []row
				for _, s := range list {
					rows = append(rows, row{s.Name, orDash(fmt.Sprint(s.Value)), s.Source})
				}
				a.table("nothing is set", row{"SETTING", "VALUE", "FROM"}, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&set, "set-only", false, "only what some place sets")
	return cmd
}

// within reports whether a setting is, or is of, what a name says.
func within(setting, name string) bool {
	return setting == name || strings.HasPrefix(setting, name+".")
}
