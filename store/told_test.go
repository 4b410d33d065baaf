package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/sources"
)

// What sources say is beside what looks found, by host name or address; what changes is history; what is away is noted,
// kept while it is fresh, and then forgotten.
func TestWhatSourcesSayOfNodes(t *testing.T) {
	s := fleetOfSize(t, 3)
	if _, err := s.pool.Exec(t.Context(), `update node set ip = case hostname when 'n2.example' then '192.0.2.2' else '192.0.2.9' end`); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	save := func(list ...sources.Reading) {
		t.Helper()
		at = at.Add(time.Minute)
		for i := range list {
			list[i].At = at
			for j := range list[i].Facts {
				list[i].Facts[j].At = at
			}
		}
		if err := s.SaveReadings(t.Context(), list, 10*time.Minute, at); err != nil {
			t.Fatal(err)
		}
	}
	know := func(want string) {
		t.Helper()
		rows, _, err := s.NodeRows(t.Context(), at, selection.NodeParts{Details: true})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range rows {
			got += fmt.Sprint(r.Facts)
		}
		if got != want {
			t.Errorf("at %s the nodes have %s, want %s", at, got, want)
		}
	}
	table := func(facts ...sources.Fact) sources.Reading { return sources.Reading{Source: "table", Facts: facts} }
	rack := func(node string, value any) sources.Fact { return sources.Fact{Node: node, Name: "rack", Value: value} }
	lines := sources.Reading{Source: "lines", Facts: []sources.Fact{{Node: "n1.example", Name: "fans", Value: 3.0}}}

	save(table(rack("n1.example", "b4"), rack("192.0.2.2", 7.0), rack("192.0.2.9", "of two nodes"), rack("stranger", 1.0)), lines)
	know("map[fans:3 rack:b4]map[rack:7]map[]")
	save(table(rack("n1.example", "b4"), rack("n2.example", 8.0)), lines)
	know("map[fans:3 rack:b4]map[rack:8]map[]")
	save(sources.Reading{Source: "table", Err: errors.New("away")}, lines)
	know("map[fans:3 rack:b4]map[rack:8]map[]")
	list, err := s.Sources(t.Context())
	if err != nil || len(list) != 2 || list[1].Trouble != "away" || !list[1].Since.Equal(at) ||
		!list[1].Read.Equal(at.Add(-time.Minute)) || list[1].Facts != 2 || list[0].Trouble != "" {
		t.Errorf("the sources are %+v, %v", list, err)
	}
	at = at.Add(20 * time.Minute)
	save(sources.Reading{Source: "table", Err: errors.New("away")})
	know("map[]map[]map[]")
	if list, err = s.Sources(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("a source that is none any more stays: %+v, %v", list, err)
	}
	for node, want := range map[string][]string{"n1.example": {"fans 3>", "fans >3", "rack >b4", "rack b4>"},
		"n2.example": {"rack 7>8", "rack 8>", "rack >7"}, "n3.example": nil} {
		past, err := s.History(t.Context(), node, 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range past {
			if p.Kind == "fact" {
				got = append(got, p.Reason+" "+p.Was+">"+p.Became)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the history of %s is %q, want %q", node, got, want)
		}
	}
}
