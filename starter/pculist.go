package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/pcucontrol"
)

// outletsView is all outlets of one PCU.
type outletsView struct {
	Target  string                   `json:"target,omitempty"`
	Model   string                   `json:"model"`
	Host    string                   `json:"host"`
	Outlets []pcucontrol.OutletState `json:"outlets"`
	Kind    pcucontrol.Kind          `json:"error_kind,omitempty"`
	Error   string                   `json:"error,omitempty"`

	err error
}

func (a *app) pcuList() *cobra.Command {
	choice := pcuChoice{a: a}
	var trace bool
	cmd := &cobra.Command{
		Use: "list [PCU...]", Short: "List all outlets of a PCU, with their names and states",
		Long: "List all outlets of a PCU, with their names and states, in one query where the device has one. " +
			"Without a target, all PCUs of the file.\n\n" +
			pcuTargets + "\n\n" + pcuAbout + "\n\n" + exitCodes(),
		Example: "  monitor pcu list --model APCSNMP --host 10.0.0.5 --user v2c --password-file community\n  monitor " +
			"pcu list --pcus pcus.yaml 'rack[1-4]' -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.catalog()
			if err != nil {
				return err
			}
			if len(args) == 0 && choice.target.Host == "" && choice.target.Model == "" {
				f, err := choice.file()
				if err != nil {
					return err
				}
				args = f.names()
			}
			all, err := choice.choose(args)
			if err != nil {
				return err
			}
			if trace {
				a.trace(all, len(all) > 1)
			}
			return a.listOutlets(cmd.Context(), c, all)
		},
	}
	targetFlags(cmd.Flags(), &choice)
	traceFlag(cmd.Flags(), &trace)
	_ = cmd.RegisterFlagCompletionFunc("model", a.completeModel)
	return cmd
}

func (a *app) listOutlets(ctx context.Context, c *pcucontrol.Catalog, all []fed) error {
	views := make([]outletsView, len(all))
	inTurn(all, func(i int) {
		t := all[i].feeds[0]
		v := outletsView{Target: all[i].name, Model: t.Model, Host: t.Host, Outlets: []pcucontrol.OutletState{}}
		within, cancel := a.within(ctx, pcuPatience)
		defer cancel()
		if found, err := c.List(within, t); err != nil {
			v.err, v.Kind, v.Error = err, pcucontrol.KindOf(err), err.Error()
		} else {
			v.Outlets = found
		}
		views[i] = v
	})
	var errs []error
	for _, v := range views {
		errs = append(errs, v.err)
	}
	return errors.Join(errors.Join(errs...), a.show(views, func() { a.drawOutlets(views) }))
}

func (a *app) drawOutlets(views []outletsView) {
	var rows []row
	for _, v := range views {
		where := v.Host
		if v.Target != "" {
			where = v.Target
		}
		if v.Error != "" {
			rows = append(rows, row{where, "-", "-", a.state("failed")})
		}
		for _, o := range v.Outlets {
			number := "-"
			if o.Outlet > 0 {
				number = fmt.Sprint(o.Outlet)
			}
			rows = append(rows, row{where, number, orDash(o.Name), a.state(string(o.State))})
		}
	}
	a.table("no outlets", row{"PCU", "OUTLET", "NAME", "STATE"}, rows)
}

func (a *app) pcuBoot() *cobra.Command {
	choice := pcuChoice{a: a}
	var device string
	var trace bool
	cmd := &cobra.Command{
		Use: "boot [TARGET...]", Short: "Choose what a machine boots from the next time, and only then",
		Long: "Choose what a machine boots from the next time, and only then. Nothing is switched; IPMI and " +
			"Redfish have it.\n\n" + pcuTargets + "\n\n" + pcuAbout + "\n\n" + exitCodes(),
		Example: "  monitor pcu boot --device network --model OpenIPMI --host 10.0.0.6 --user admin --password-file pw",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.catalog()
			if err != nil {
				return err
			}
			all, err := choice.choose(args)
			if err != nil {
				return err
			}
			do := each(
				func(c *pcucontrol.Catalog, ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
					return c.BootOnce(ctx, t, pcucontrol.BootDevice(device))
				},
			)
			j := pcuJobs{a: a, c: c, do: do, form: powerView{Operation: "boot"}, list: len(args) > 0 || len(all) > 1}
			if trace {
				a.trace(all, j.list)
			}
			return j.run(cmd.Context(), all)
		},
	}
	targetFlags(cmd.Flags(), &choice)
	traceFlag(cmd.Flags(), &trace)
	cmd.Flags().StringVar(&device, "device", "", "`network|disk|default`; default takes back what was chosen before")
	_ = cmd.MarkFlagRequired("device")
	_ = cmd.RegisterFlagCompletionFunc("device", a.fixed(string(pcucontrol.BootNetwork), string(pcucontrol.BootDisk),
		string(pcucontrol.BootDefault)))
	_ = cmd.RegisterFlagCompletionFunc("model", a.completeModel)
	return cmd
}
