package main

import (
	"context"
	"flag"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/planetlab/monitor/testbed/rig"
)

// Each scenario is a test that runs alone, as `go test ./testbed/... -run Smoke/HungNode`. They need the programs of `make build` and some
// minutes, so that they run only when -run names them; `make test` and `make smoke` run all of them.
func TestSmoke(t *testing.T) {
	if !strings.Contains(flag.Lookup("test.run").Value.String(), "Smoke") {
		t.Skip("runs when it is named: go test ./testbed/... -run Smoke/<scenario>, or make smoke")
	}
	bin, err := filepath.Abs("../../../bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []struct {
		options rig.Options
		list    []scenario
		atOnce  bool
	}{
		{fleetOptions(bin, t.Output()), slices.Concat(fleetScenarios()), false},
		{deathOptions(bin, t.Output()), deathScenarios(), false},
		{hostileOptions(bin, t.Output()), hostileScenarios(), false},
		{inventoryOptions(bin, t.Output()), inventoryScenarios(), false},
		{smokeOptions(bin, t.Output()), scenarios(), true},
	} {
		var r *rig.Rig
		t.Cleanup(func() {
			if r != nil {
				if err := everyWord(context.Background(), &stage{r}); err != nil {
					t.Error(err)
				}
				_ = r.Close()
			}
		})
		begin := sync.OnceValue(func() (err error) {
			r, err = rig.Start(context.Background(), group.options)
			return err
		})
		for _, s := range group.list {
			t.Run(s.id, func(t *testing.T) {
				if group.atOnce {
					t.Parallel()
				}
				if err := begin(); err != nil {
					t.Fatal(err)
				}
				var err error
				if s.prepare != nil {
					err = s.prepare(t.Context(), &stage{r})
				}
				if err == nil {
					err = s.run(t.Context(), &stage{r})
				}
				if err != nil {
					t.Errorf("%s: %v\n%s", s.name, err, r.WorkerLog())
				}
			})
		}
	}
}
