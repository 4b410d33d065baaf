package main

import (
	"slices"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
)

// episodeView is an earlier life of an issue.
type episodeView struct {
	RunID   string    `json:"run_id"`
	Opened  time.Time `json:"opened"`
	Closed  time.Time `json:"closed,omitzero"`
	Outcome string    `json:"outcome"`
}

// earlier are the episodes of an issue before one.
func earlier(list []store.Issue, run string) (views []episodeView) {
	for _, i := range list {
		if i.RunID != run {
			views = append(views, episodeView{i.RunID, i.Opened.UTC(), i.Closed.UTC(), i.Outcome})
		}
	}
	return views
}

// joined is the whole timeline: what the store has, and what only the running issue knows yet.
func joined(stored, live []issue.Event) []issue.Event {
	for _, e := range live {
		if i := slices.IndexFunc(stored, func(s issue.Event) bool { return s.Seq == e.Seq }); i >= 0 {
			stored[i] = e
		} else {
			stored = append(stored, e)
		}
	}
	slices.SortStableFunc(stored, func(a, b issue.Event) int { return a.Seq - b.Seq })
	return stored
}
