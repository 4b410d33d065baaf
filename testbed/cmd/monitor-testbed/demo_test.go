package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/rig"
)

func TestTheDemoTellsTheSameOnlyOnceInAWhile(t *testing.T) {
	start := time.Now()
	tell := &teller{told: map[string]time.Time{}, dayAt: func(t time.Time) float64 { return t.Sub(start).Seconds() }}
	for _, c := range []struct {
		what, text string
		after      time.Duration
		again      bool
	}{
		{"mail", "noc: all is held back", 0, false}, {"mail", "noc: all is held back", 5 * time.Second, true},
		{"mail", "tech: a node is down", 5 * time.Second, false}, {"skip", "huji: skipped", 6 * time.Second, false},
		{"skip", "huji: skipped", 7 * time.Second, true}, {"mail", "noc: all is held back", 21 * time.Second, false},
		{"reboot", "n1: done", 22 * time.Second, false}, {"reboot", "n1: done", 23 * time.Second, false},
	} {
		if got := tell.again(line{at: start.Add(c.after), what: c.what, text: c.text}); got != c.again {
			t.Errorf("%s %q after %s is told again: %t", c.what, c.text, c.after, !got)
		}
	}
}

func TestTheDemoSaysWhatToTryWhenItsStoryIsOver(t *testing.T) {
	var out bytes.Buffer
	whatToTry(&out, &rig.Rig{Pages: "http://127.0.0.1:8081"})
	for _, want := range []string{"The story is over", "http://127.0.0.1:8081/nodes/planetlab1.tokyo.example", testbed.PLCUser, "monitor agenda"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %s", want, out.String())
		}
	}
	for _, i := range testbed.Story() {
		if i.Day+i.Mended > testbed.StoryEnds {
			t.Errorf("day %v of the story lasts longer than it", i.Day)
		}
	}
}
