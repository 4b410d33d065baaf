package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
)

// completionPatience is how long a key press may wait for the database; after it there are no suggestions.
const completionPatience = time.Second

// lister names what an argument may be.
type lister func(ctx context.Context, db *store.Store) ([]string, error)

// complete suggests the first argument, or a flag's value, from the store.
func (a *app) complete(list lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.suggest(cmd.Context(), list, prefix)
	}
}

func (a *app) suggest(ctx context.Context, list lister, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	db, err := a.openStore(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer db.Close()
	all, err := list(ctx, db)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []cobra.Completion
	for _, s := range all {
		if strings.HasPrefix(s, prefix) {
			found = append(found, clean(s))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeKind suggests a first word, then a target that fits it.
func (a *app) completeKind(kinds []string, targets func(kind string) lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return a.fixed(kinds...)(cmd, args, prefix)
		case 1:
			return a.suggest(cmd.Context(), targets(args[0]), prefix)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) completeTarget() cobra.CompletionFunc {
	return a.completeKind(issueTypes(), func(typ string) lister {
		switch typ {
		case issue.PCUDown:
			return pcuNames
		case issue.SiteDown:
			return siteNames
		}
		return hostNames
	})
}

func (a *app) fixed(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

func openIssues(ctx context.Context, db *store.Store) ([]string, error) {
	return issueIDs(ctx, db, store.IssueFilter{Open: true})
}

func allIssues(ctx context.Context, db *store.Store) ([]string, error) {
	return issueIDs(ctx, db, store.IssueFilter{})
}

func issueIDs(ctx context.Context, db *store.Store, f store.IssueFilter) ([]string, error) {
	list, err := db.Issues(ctx, f)
	return namesOf(list, func(i store.Issue) string { return i.ID }), err
}

func hostNames(ctx context.Context, db *store.Store) ([]string, error) {
	list, err := db.Nodes(ctx, 0, everything)
	return namesOf(list, func(n store.Node) string { return n.Hostname }), err
}

func pcuNames(ctx context.Context, db *store.Store) ([]string, error) {
	list, err := db.PCUs(ctx, 0, everything)
	return namesOf(list, func(p store.PCU) string { return p.Name }), err
}

func siteNames(ctx context.Context, db *store.Store) ([]string, error) {
	list, err := db.Sites(ctx)
	return namesOf(list, func(s store.Site) string { return s.LoginBase }), err
}

func namesOf[T any](list []T, name func(T) string) []string {
	var names []string
	for _, x := range list {
		names = append(names, name(x))
	}
	return names
}

// everything is a limit above any fleet.
const everything = 1 << 30
