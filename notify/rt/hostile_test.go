package rt_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/testbed/hostile"
)

// Whatever stands where Request Tracker should, no ticket is taken for ours, the token goes nowhere else, and every error may be shown.
func TestAHostileTrackerIsSurvived(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the token went to %s: %q", r.Host, r.Header.Get("Authorization"))
	}))
	t.Cleanup(thief.Close)
	habits := hostile.Web(thief.URL)
	if len(habits) < 20 {
		t.Fatalf("%d habits", len(habits))
	}
	t.Run("all", func(t *testing.T) {
		for i, h := range habits {
			t.Run(h.Name, func(t *testing.T) {
				t.Parallel()
				address := hostile.Serve(t, fmt.Sprintf("127.9.12.%d:0", i+1), h).(*net.TCPAddr)
				c, err := rt.New(
					rt.Options{URL: "http://" + address.String(), Token: token, Queue: "q", Timeout: time.Second},
				)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				place := rt.Place{Ticket: 1, Robot: "monitor", After: 1}
				ticket, said, openErr := c.Open(t.Context(), opening("a", "k1"))
				_, _, sayErr := c.Correspond(t.Context(), place, rt.Message{Text: "x", Cc: []string{"a@b.example"}})
				replies, replyErr := c.Replies(t.Context(), place)
				statusErr := c.SetStatus(t.Context(), 1, rt.Resolved)
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("it takes %s", took)
				}
				if openErr == nil || sayErr == nil || statusErr == nil || said || ticket.ID > 0 && openErr == nil ||
					len(replies) > 0 {
					t.Errorf("it is believed: %+v %v, %v %v %v", ticket, replies, openErr, sayErr, statusErr)
				}
				for _, err := range []error{openErr, sayErr, replyErr, statusErr} {
					if err != nil &&
						(!clean.Is(err.Error(), clean.MaxLine) || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "\n")) {
						t.Errorf("%d bytes: %.300q", len(err.Error()), err.Error())
					}
				}
			})
		}
	})
}
