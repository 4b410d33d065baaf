package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
)

func TestAWorldBreaksAndMendsWhatLinesSay(t *testing.T) {
	w, err := testbed.Start(testbed.Options{Sites: []testbed.Site{{Login: "lab", Nodes: 2}}, BootTime: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var out bytes.Buffer
	obey(w, strings.NewReader("hang planetlab1.lab.example nobody\n\nhang planetlab2.lab.example\nhang nowhere\n"+
		"hang planetlab1.lab.example magic\nmend planetlab1.lab.example\n"), &out)
	if one, two := w.State(host("lab", 1)), w.State(host("lab", 2)); one != fakenode.Up || two != fakenode.Hung {
		t.Errorf("they are %s and %s", one, two)
	}
	if said := out.String(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "no node nowhere") ||
		!strings.Contains(said, `"hang planetlab1.lab.example magic" is neither`) {
		t.Errorf("it says: %s", said)
	}
}
