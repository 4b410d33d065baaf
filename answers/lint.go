package answers

import (
	"context"

	"github.com/planetlab/monitor/lint"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// Lint is what is wrong with what the inventory says, as the last sweep read it: a row for each thing that breaks a rule,
// and one without a rule for each that breaks none.
func Lint(ctx context.Context, db *store.Store, o lint.Options) ([]selection.Finding, store.Unreadable, error) {
	fleet, bad, err := db.LintFleet(ctx)
	if err != nil {
		return nil, bad, err
	}
	return lint.Check(fleet, o), bad, nil
}
