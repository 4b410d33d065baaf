package api

import (
	"context"
	"slices"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/lint"
	"github.com/planetlab/monitor/selection"
)

// listFindings lists what is wrong with the inventory. What somebody may not read is not named in a finding either.
func (s *server) listFindings(ctx context.Context, who access.Who, in *struct {
	Listing
	All bool `query:"all" doc:"With a row, without a rule, for each thing with which nothing is wrong."`
}) (*page[selection.Finding], error) {
	rows, _, err := answers.Lint(ctx, s.Store, lint.Options{Models: s.Models,
		Sees: func(site string) bool { return access.Allowed(who, access.SeeNodes, site) }})
	if err != nil {
		return nil, err
	}
	if !in.All {
		rows = slices.DeleteFunc(rows, func(f selection.Finding) bool { return f.Rule == "" })
	}
	return pageOf(s, who, table[selection.Finding]{access.SeeNodes, selection.Findings(lint.Rules()),
		func(f *selection.Finding) string { return f.Site },
		func(f *selection.Finding) string {
			return f.Site + "\x01" + f.Kind + "\x01" + f.Name + "\x01" + f.Rule + "\x01" + f.What
		}}, in.Listing, rows)
}
