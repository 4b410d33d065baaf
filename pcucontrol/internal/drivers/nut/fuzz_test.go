package nut

import (
	"context"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wiretest"
)

// FuzzNUT lets a server answer anything.
func FuzzNUT(f *testing.F) {
	for _, text := range []string{
		"OK\nOK\nBEGIN LIST UPS\nUPS rack \"a rack\"\nEND LIST UPS\nBEGIN LIST VAR rack\n" +
			"VAR rack outlet.3.status \"on\"\nVAR rack outlet.group.1.name \"both\"\nEND LIST VAR rack\n" +
			"BEGIN LIST RW rack\nEND LIST RW rack\nBEGIN LIST CMD rack\nCMD rack outlet.3.load.off\nEND LIST CMD " +
			"rack\n",
		"OK\nERR ACCESS-DENIED\n", "ERR DATA-STALE\n", "OK\nOK\nBEGIN LIST UPS\nEND LIST UPS\n", "ERR\n", "\n",
		"VAR \"a\\\"b\\\\c\" \"", "\x00\xff", "OK " + wiretest.Password + "\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		r, err := Driver{}.Status(ctx, wiretest.Said(text))
		wiretest.WantTyped(t, err)
		if err != nil && r.Verified {
			t.Errorf("%q is verified, with %v", text, err)
		}
		_, err = Driver{}.List(ctx, wiretest.Said(text))
		wiretest.WantTyped(t, err)
	})
}

func TestWordsAreQuotedAndReadAlike(t *testing.T) {
	for _, word := range []string{"", "plain", "two words", `a "quote"`, `back\slash`, `\"`, "ümlaut"} {
		if got := wordsOf("VAR " + quoted(word) + " end\n"); len(got) != 3 || got[1] != word {
			t.Errorf("%q is read as %q", word, got)
		}
	}
}

func TestTheMainOutletAndCountsAreNoOutlets(t *testing.T) {
	s := session{
		vars:     map[string]string{"outlet.count": "2", "outlet.0.status": "on", "outlet.2.status": "yes", "outlet.desc": "x"},
		commands: []string{"outlet.1.load.on", "outlet.group.7.load.off", "load.off", "outlet.main.load.off"},
	}
	var got []string
	for _, o := range s.outlets() {
		got = append(got, o.prefix+" "+string(o.state))
	}
	if want := []string{"outlet.1 unknown", "outlet.2 on", "outlet.group.7 unknown"}; len(got) != 3 || got[0] != want[0] ||
		got[1] != want[1] || got[2] != want[2] {
		t.Errorf("the outlets are %q", got)
	}
	var _ pcucontrol.Lister = Driver{}
}
