package fakenode

import (
	"os/exec"
	"testing"
)

// A testbed starts programs all the time: the shells of nodes in debug mode, servers, workers. None may keep the port
// of a node that changes.
func TestAPortIsFreeAtOnceThoughProgramsAreStarted(t *testing.T) {
	n, err := New(Options{Host: "planetlab1.princeton.example", IP: "127.200.1.1", PortMap: map[int]int{22: 20022,
		80: 20080, 806: 20806}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_ = exec.Command("true").Run()
			}
		}
	}()
	for i := range 300 {
		for _, state := range []State{Hung, Up, Off, Up, Firewalled, Up} {
			if i%30 > 0 && state == Firewalled { // takes long
				continue
			}
			if err := n.SetState(state); err != nil {
				t.Fatalf("round %d, %s: %v", i, state, err)
			}
		}
	}
	close(done)
	<-ended
}
