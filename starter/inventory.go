package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/inventory"
)

func (a *app) inventory() *cobra.Command {
	cmd := group("inventory", "What the fleet is made of, where there is no PLC", `  monitor inventory check lab.yaml
  monitor inventory show lab.yaml`)
	cmd.AddCommand(a.inventoryCheck(), a.inventoryShow(), a.inventorySchema())
	return cmd
}

const inventoryAbout = "Without FILE it is what the configuration names: inventory.file, or what " +
	"inventory.ansible.command prints. docs/lab.md shows the form of the file."

// optional takes at most one argument.
func optional(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%q is one argument too many: %s is all it takes", args[1], name)
		}
		return nil
	}
}

func (a *app) inventoryCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE]", Short: "Find the mistakes of an inventory, each with its line and what to do",
		Long: "Find the mistakes of an inventory: what stands where, and what to do. Nothing is written and nobody is " +
			"asked; passwords are looked for where the inventory says, and not shown.\n\n" + inventoryAbout + "\n\n" +
			exitCodes(),
		Example: `  monitor inventory check lab.yaml
  monitor inventory check lab.yaml -o json`,
		Args: optional("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			fleet, err := a.readInventory(cmd.Context(), args)
			var wrong inventory.Mistakes
			if err != nil && !errors.As(err, &wrong) {
				return err
			}
			if err == nil {
				wrong = fleet.Secrets()
			}
			if wrong == nil {
				wrong = inventory.Mistakes{}
			}
			if shown := a.show(wrong, func() {
				for _, m := range wrong {
					a.say("%s", clean(m.String()))
				}
				if len(wrong) == 0 {
					a.say("the inventory is good: %s", fleet.Count())
				}
			}); shown != nil {
				return shown
			}
			switch {
			case err != nil:
				return badInput("the inventory has %s, and is not taken; what was last read stands", mistakesOf(len(wrong)))
			case len(wrong) > 0:
				return badInput("%s not where the inventory says: those PCUs stay as they are", passwordsAre(len(wrong)))
			}
			return nil
		},
	}
}

func mistakesOf(n int) string {
	if n == 1 {
		return "a mistake"
	}
	return fmt.Sprintf("%d mistakes", n)
}

func passwordsAre(n int) string {
	if n == 1 {
		return "a password is"
	}
	return fmt.Sprintf("%d passwords are", n)
}

// readInventory reads a file that was named, else what the configuration names.
func (a *app) readInventory(ctx context.Context, args []string) (*inventory.Fleet, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	if len(args) > 0 {
		cfg.Inventory = config.Inventory{Source: config.InventoryFile, File: args[0]}
	}
	if cfg.Inventory.Source == config.InventoryPLC {
		return nil, badInput("name a FILE: by the configuration, PLC says what the fleet is made of (inventory.source)")
	}
	source, err := connect.Source(cfg)
	if err != nil {
		return nil, err
	}
	fleet, err := source.Read(ctx)
	var wrong inventory.Mistakes
	if err != nil && !errors.As(err, &wrong) {
		return nil, badInput("%w", err)
	}
	return fleet, err
}

func (a *app) inventoryShow() *cobra.Command {
	return &cobra.Command{
		Use: "show [FILE]", Short: "List the nodes of an inventory, with their addresses and what feeds them",
		Long: "List the nodes of an inventory as Monitor would take them over: one line a node.\n\n" + inventoryAbout +
			"\n\n" + exitCodes(),
		Example: `  monitor inventory show lab.yaml
  monitor inventory show lab.yaml -o csv`,
		Args: optional("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			fleet, err := a.readInventory(cmd.Context(), args)
			if err != nil {
				return badInput("%w", err)
			}
			lines := fleet.Lines()
			return a.show(lines, func() {
				var rows []row
				for _, l := range lines {
					rows = append(rows, row{l.Name, l.Site, l.Address, orDash(l.Power), orDash(l.Model), l.BootState})
				}
				a.table("no nodes", row{"NODE", "SITE", "ADDRESS", "POWER", "PCU MODEL", "BOOT STATE"}, rows)
			})
		},
	}
}

func (a *app) inventorySchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the file, for editors",
		Long: "Print the JSON Schema of the file. An editor that knows it completes keys and marks what is none; " +
			"`monitor inventory check` finds the rest, as a name that is there twice.\n\n" + exitCodes(),
		Example: "  monitor inventory schema",
		Args:    takes(),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(inventory.Schema())
			return err
		},
	}
}
