package fakenode

import (
	"net"
	"os/exec"
	"strconv"
	"testing"
)

// A worker that is started while a node drops all packets must not keep the node from ever listening again.
func TestDrop_AProgramThatIsStartedMeanwhileHoldsNoPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	n := &Node{IP: "127.0.0.1", ports: map[int]int{22: free}}
	if err := n.drop(22); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	for _, f := range n.closes {
		f()
	}
	again, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(free))
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}
