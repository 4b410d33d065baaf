package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/pcucontrol/scan"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/pcucontrol"
)

// scanPatience bounds a scan: all ports at once, a few seconds each.
const scanPatience = 10 * time.Second

// modelsVariable names the environment variable that may hold folders of model files, as PATH does.
const modelsVariable = "MONITOR_PCU_MODELS"

// catalog is the built-in models and those of the operator's files.
func (a *app) catalog() (*pcucontrol.Catalog, error) {
	dirs, flag := a.modelDirs, "--models"
	if len(dirs) == 0 {
		dirs, flag = strings.FieldsFunc(os.Getenv(modelsVariable),
			func(r rune) bool { return r == os.PathListSeparator }), modelsVariable
	}
	c, err := models.Open(dirs...)
	if err != nil {
		return nil, badInput("%s: %w", flag, err)
	}
	return c, nil
}

// completeModel suggests what can be driven, with what it is.
func (a *app) completeModel(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := a.catalog()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []cobra.Completion
	for _, m := range c.Models() {
		found = append(found, cobra.CompletionWithDesc(m.Name, m.About))
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeTransport suggests those of the model that was named.
func (a *app) completeTransport(model *string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		c, err := a.catalog()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		m, _ := c.Resolve(*model)
		return namesOf(m.Transports,
			func(t pcucontrol.Transport) string { return t.Name }), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) pcuModels() *cobra.Command {
	return &cobra.Command{
		Use: "models", Short: "List the models that can be driven", Args: takes(),
		Long: "List the models that can be driven: their transports with the usual ports, in the order they are " +
			"tried, and what they can do.\n\n" +
			"A record may have another model name, too: what it contains, such as APC or DRAC, then says who drives " +
			"it.",
		Example: "  monitor pcu models\n  monitor pcu models --models /etc/monitor/models -o json",
		RunE: func(*cobra.Command, []string) error {
			c, err := a.catalog()
			if err != nil {
				return err
			}
			list := c.Models()
			return a.show(list, func() {
				var rows []row
				for _, m := range list {
					var ways []string
					for _, t := range m.Transports {
						ways = append(ways, fmt.Sprintf("%s %d", t.Name, t.Port))
					}
					rows = append(
						rows,
						row{m.Name, orDash(strings.Join(ways, ", ")), orDash(strings.Join(m.Capabilities, " ")),
							m.About},
					)
				}
				a.table("no models", row{"MODEL", "TRANSPORTS", "CAN", "ABOUT"}, rows)
			})
		},
	}
}

// scanView is the outcome of a scan.
type scanView struct {
	Host  string          `json:"host"`
	Ports []scan.Port     `json:"ports"`
	Kind  pcucontrol.Kind `json:"error_kind,omitempty"`
	Error string          `json:"error,omitempty"`
}

func (a *app) pcuScan() *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use: "scan", Short: "Look which ports of a device are open, and which models would fit", Args: takes(),
		Long: "Look which ports of a device are open, and which models would fit. It tries each port that a " +
			"model uses once and logs in nowhere;\n" +
			"for that moment a device with a single session is busy. It takes some seconds at most.\n\n" +
			"Where a device says something unasked, only the models that know these words are named.\n\n" + exitCodes(),
		Example: "  monitor pcu scan --host 10.0.0.5\n  monitor pcu scan --host 10.0.0.5 -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.catalog()
			if err != nil {
				return err
			}
			ctx, cancel := a.within(cmd.Context(), scanPatience)
			defer cancel()
			return a.scan(ctx, c, host)
		},
	}
	cmd.Flags().StringVar(&host, "host", "", "`name` or address of the PCU")
	_ = cmd.MarkFlagRequired("host")
	return cmd
}

func (a *app) scan(ctx context.Context, c *pcucontrol.Catalog, host string) error {
	ports, err := scan.Host(ctx, c, host)
	v := scanView{Host: host, Ports: ports}
	if err != nil {
		v.Kind, v.Error = pcucontrol.KindOf(err), err.Error()
	}
	shown := a.show(v, func() {
		var rows []row
		for _, p := range ports {
			models := p.Models
			if more := len(models) - 6; more > 0 {
				models = append(append([]string{}, models[:6]...), fmt.Sprintf("and %d more", more))
			}
			rows = append(
				rows,
				row{p.Port, strings.Join(p.Transports, ", "), a.portState(p.State), orDash(strings.Join(models, ", ")),
					orDash(p.Says)},
			)
		}
		a.table("no ports", row{"PORT", "TRANSPORT", "STATE", "MODELS THAT WOULD FIT", "SAYS"}, rows)
	})
	if err != nil {
		return err
	}
	return shown
}

func (a *app) portState(s scan.PortState) coloured {
	if s == scan.PortOpen {
		return a.paint(string(s), color.FgGreen)
	}
	return a.paint(string(s), color.Faint)
}
