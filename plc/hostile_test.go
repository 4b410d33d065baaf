package plc_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/testbed/hostile"
)

// Whatever stands where PLC should, the calls end in time with errors that may be kept and shown, in bounded memory,
// nothing is believed, and the password goes nowhere else.
func TestAHostilePLCIsSurvived(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it takes half a minute")
	}
	thief := httptest.NewServer(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the password went to %s", r.Host) }),
	)
	t.Cleanup(thief.Close)
	habits := append(hostile.Web(thief.URL+"/PLCAPI/"), hostile.PLC()...)
	if len(habits) < 20 {
		t.Fatalf("%d habits", len(habits))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	t.Run("all", func(t *testing.T) { testHostilePLCs(t, habits) })
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("%d MB are kept", grown>>20)
	}
}

func testHostilePLCs(t *testing.T, habits []hostile.Habit) {
	for i, h := range habits {
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			address := hostile.Serve(t, fmt.Sprintf("127.9.11.%d:0", i+1), h).(*net.TCPAddr)
			c, err := plc.New(
				plc.Options{
					URL:      "http://" + address.String() + "/PLCAPI/",
					Username: "monitor@example",
					Password: "s3cret",
					Timeout:  700 * time.Millisecond,
				},
			)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			snap, err := c.Snapshot(t.Context())
			calls := []error{err, c.AuthCheck(t.Context()), c.SetBootState(t.Context(), "n.example", "reinstall")}
			_, nodeErr := c.Node(t.Context(), "n.example")
			calls = append(calls, nodeErr)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it takes %s", took)
			}
			if calls[0] == nil || calls[3] == nil {
				t.Errorf("it is believed: %d nodes, %v", len(snap.Nodes), calls)
			}
			for _, err := range calls {
				if err == nil {
					continue
				}
				if text := err.Error(); !clean.Is(text, 4*clean.MaxLine) || strings.Contains(text, "s3cret") ||
					strings.Contains(text, "\n") {
					t.Errorf("%d bytes: %.300q", len(text), text)
				}
			}
		})
	}
}
