package web

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/planetlab/monitor/store"
)

// A read that is under way when something changes may not see it: pages are told when it was read anew, whether it was
// the first read or one that a page has asked for, and then they see it.
func TestAReadUnderWayIsReadAnewBeforePagesAreTold(t *testing.T) {
	for name, before := range map[string]int32{"the first": 0, "one of later": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := newHub()
				r := newReader(Options{}, hub)
				hub.tell(store.Happening{Topic: store.Everything})
				var world, reads atomic.Int32
				slow := make(chan struct{})
				look := func() int32 {
					v, err := readOnce(t.Context(), r, "world", []string{"issue"}, func(context.Context) (int32, error) {
						v := world.Load()
						if reads.Add(1) == before+1 {
							<-slow
						}
						return v, nil
					})
					if err != nil {
						t.Error(err)
					}
					return v
				}
				change := func() {
					time.Sleep(settleFor)
					hub.tell(store.Happening{Topic: "issue"})
				}
				for range before {
					look()
					change()
				}
				go look() // which lasts
				synctest.Wait()
				world.Add(1)
				change()
				r.renew(t.Context())
				if saw := look(); saw != 1 {
					t.Errorf("a page that was told of the change sees %d", saw)
				}
				close(slow)
				synctest.Wait()
				if saw := look(); saw != 1 {
					t.Errorf("when the older read has ended a page sees %d", saw)
				}
			})
		})
	}
}
