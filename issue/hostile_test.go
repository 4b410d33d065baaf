package issue

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/testbed/hostile"
)

// check says what would be wrong with a state as Postgres, a history and a terminal take it.
func checkState(t *testing.T, s State) {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 256<<10 {
		t.Errorf("it has %d bytes", len(text))
	}
	if hostile.HoldsControl(string(text)) || string(clean.JSON(text)) != string(text) {
		t.Errorf("it is not clean: %.500q", text)
	}
	for _, e := range s.Events {
		if !clean.Is(e.String(), 2*clean.MaxText) {
			t.Errorf("an event reads %.300q", e.String())
		}
	}
}

// FuzzOrders: whatever is ordered, and whatever a rung or an opener says, what the issue remembers is clean and bounded.
func FuzzOrders(f *testing.F) {
	f.Add([]byte(`\u0000`), "0", -53) // the text of a control, which is none
	f.Add([]byte(`{"by":"ann","reason":"why","until":"2030-01-02T15:04:05Z"}`), "out of power", 0)
	f.Add([]byte(`{"by":"\u0000\u001b[2J","reason":"\u009b31m\u202e"}`), "\x00\x1b[2J\xff", 1)
	f.Add([]byte(`{"reason":"`+strings.Repeat("x", 3000)+`"}`), strings.Repeat("é\x00", 100_000), 2)
	f.Add([]byte(`{"until":"0000-01-01T00:00:00Z"}`), "", 3)
	typ, _ := Lookup(NodeDown)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, command []byte, said string, n int) {
		s := Start(
			Opening{
				Ref:      Ref{ID: "nodedown/a.example", Type: NodeDown, Node: "a.example"},
				Cause:    said,
				Evidence: strings.Split(said+"\n"+said, "\n"),
				Times:    TimesOf(policy.Defaults(24 * time.Hour)),
				Ladder:   typ.Ladder,
			},
			now,
		)
		var c Command
		if json.Unmarshal(command, &c) != nil {
			c = Command{By: said, Reason: string(command)}
		}
		orders := Orders()
		for i := range 60 {
			o := orders[(n%len(orders)+len(orders)+i)%len(orders)]
			now = now.Add(time.Hour)
			if err := s.Check(o, c, now); err != nil {
				if len(err.Error()) > clean.MaxText {
					t.Errorf("refused with %d bytes", len(err.Error()))
				}
				s.Refuse(o, c.Clean(), err.Error(), now)
			} else if o != OrderClose {
				s.Obey(o, c, now)
			}
			if i%7 == 0 {
				s.Began()
				s.Ran(now, Result{Outcome: []Outcome{Acted, Passed, Wait, Unknown, Recovered}[i%5], Reason: said})
				s.RecoveredAt = time.Time{}
			}
			s.Keep(s.Seq)
		}
		s.Recover(now, c.Clean().Reason)
		checkState(t, s)
	})
}
