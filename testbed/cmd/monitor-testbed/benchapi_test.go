package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/store"
)

func TestTheBenchAsksEveryOperationOfTheAPI(t *testing.T) {
	text, err := api.OpenAPI()
	var doc struct{ Paths map[string]map[string]any }
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	f := askedFleet{nodes: []store.Node{{Hostname: "n"}}, pcus: []string{"p"}}
	p := &asker{said: map[string]answer{}}
	for _, part := range append(f.asked(p), f.sweeps(p)) {
		for _, ask := range part.turns {
			q := ask(0)
			asked[q.operation] = true
			if strings.Contains(q.path, "{") {
				t.Errorf("%s is asked as %s", q.operation, q.path)
			}
		}
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			name := strings.ToUpper(method) + " " + strings.TrimPrefix(path, api.Prefix)
			if !asked[name] {
				t.Errorf("the bench does not ask for %s", name)
			}
			delete(asked, name)
		}
	}
	for name := range asked {
		t.Errorf("the API has no %s", name)
	}
}
