package ipal

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol/internal/wiretest"
)

// FuzzIPAL lets an iPAL answer anything.
func FuzzIPAL(f *testing.F) {
	for _, s := range []string{"11011111", "", "6666", "\x15", "2", "1101\r\n", strings.Repeat("1", 100),
		"0" + wiretest.Password} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		r, err := Driver{}.Status(ctx, wiretest.Said(answer))
		wiretest.WantTyped(t, err)
		if err == nil && (len(answer) < 3 || string(r.After) != map[byte]string{'0': "off", '1': "on"}[answer[2]]) {
			t.Errorf("%q is %+v", answer, r)
		}
	})
}
