package workflows_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/workflows"
)

// Histories of real runs must lead today's code through the same commands: an issue that has been open for weeks
// outlives many releases. `make histories` records new ones; the old ones stay valid unless a type is versioned.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		kind, _, _ := strings.Cut(name, "_")
		types[kind] = true
		t.Run(name, func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			for _, w := range workflows.Types() {
				replayer.RegisterWorkflowWithOptions(w.Func, workflow.RegisterOptions{Name: w.Name})
			}
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
				file); err != nil {
				t.Error(err)
			}
		})
	}
	for _, w := range workflows.Types() {
		if !types[w.Name] {
			t.Errorf("no history of type %s is recorded: run `make histories`", w.Name)
		}
	}
}

// Without a site that ran under today's rules no change of them is ever replayed.
func TestASiteUnderTodaysRulesIsRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/site_*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if rulesOf(t, file) == site.Rules {
			return
		}
	}
	t.Errorf("none of %d recorded sites ran under rules %d: run `make histories`", len(files), site.Rules)
}

// rulesOf are the rules of a recorded site; 0: it ran before they were numbered.
func rulesOf(t *testing.T, file string) (rules int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	history, err := client.HistoryFromJSON(f, client.HistoryJSONOptions{})
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, e := range history.Events {
		marker := e.GetMarkerRecordedEventAttributes()
		if marker.GetMarkerName() != "Version" {
			continue
		}
		var change string
		convert := converter.GetDefaultDataConverter()
		if err := errors.Join(convert.FromPayloads(marker.Details["change-id"], &change),
			convert.FromPayloads(marker.Details["version"], &rules)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if change == workflows.ChangeOfRules {
			return rules
		}
	}
	return 0
}

// An issue that is open asks for its activities by the names that it knows: a group may move a method, and never rename
// it. No two groups may have the same name, since a worker takes one of each.
func TestEveryActivityOfARecordedHistoryIsInOneGroup(t *testing.T) {
	group := map[string]string{}
	for _, g := range activities.New(activities.Options{}).Registered() {
		for typ, i := reflect.TypeOf(g), 0; i < typ.NumMethod(); i++ {
			name := typ.Method(i).Name
			if other := group[name]; other != "" {
				t.Errorf("%s is in %s and in %s", name, other, typ)
			}
			group[name] = typ.String()
		}
	}
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no histories are recorded: run `make histories` (%v)", err)
	}
	asked := regexp.MustCompile(`"activityType":\s*\{\s*"name":\s*"(\w+)"`)
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllStringSubmatch(string(text), -1) {
			found++
			if group[m[1]] == "" {
				t.Errorf("%s asks for %s, which no group has", filepath.Base(file), m[1])
				group[m[1]] = "said"
			}
		}
	}
	if found == 0 {
		t.Error("no activity was found in the recorded histories: has their form changed?")
	}
}
