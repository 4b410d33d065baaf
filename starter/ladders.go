package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
)

type ladderView struct {
	Type  string     `json:"type"`
	About string     `json:"about"`
	Opens string     `json:"opens"`
	Ends  string     `json:"ends"`
	Rungs []rungView `json:"rungs"`
}

type rungView struct {
	Rung  string            `json:"rung"`
	When  []issue.Condition `json:"when,omitempty"`
	Do    string            `json:"do"`
	Level int               `json:"penalty_level,omitempty"`
	Yield string            `json:"yield,omitempty"`
}

func (a *app) ladders() *cobra.Command {
	var markdown, gate bool
	cmd := &cobra.Command{
		Use: "ladders [TYPE]", Short: "Print the action list of every issue type", Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.fixed(issueTypes()...),
		Long:    "Print the action list of every issue type, or of one, with the waits of the configured policy.\nNeither the database nor Temporal is asked.",
		Example: "  monitor ladders\n  monitor ladders nodedown\n  monitor --set policy.people_step=3d ladders",
		RunE: func(_ *cobra.Command, args []string) error {
			list := issue.Types()
			if len(args) == 1 {
				if err := orders.CheckType(args[0]); err != nil {
					return err
				}
				list = slices.DeleteFunc(list, func(t issue.Type) bool { return t.Name != args[0] })
			}
			if gate {
				a.say("%s", strings.TrimRight(policy.GateMarkdown(), "\n"))
				return nil
			}
			cfg, err := a.config()
			if err != nil {
				return err
			}
			times := issue.TimesOf(cfg.Policy.InRealTime())
			if markdown {
				a.say("%s", strings.TrimRight(issue.Markdown(list, times), "\n"))
				return nil
			}
			var views []ladderView
			var texts []string
			for _, l := range list {
				views = append(views, viewOfLadder(l))
				texts = append(texts, l.Print(times))
			}
			return a.show(views, func() { a.say("%s", strings.TrimRight(strings.Join(texts, "\n"), "\n")) })
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print a page for people, as docs/ladders.md is")
	cmd.Flags().BoolVar(&gate, "gate", false, "print a page about the gate, as docs/gate.md is")
	_ = cmd.Flags().MarkHidden("gate") // it is for `make docs`
	return cmd
}

func viewOfLadder(t issue.Type) ladderView {
	v := ladderView{Type: t.Name, About: t.About, Opens: t.Opens, Ends: t.Ends}
	for _, r := range t.Ladder.Rungs {
		v.Rungs = append(v.Rungs, rungView{r.String(), r.When, string(r.Do), r.Level, string(r.Yield)})
	}
	return v
}
