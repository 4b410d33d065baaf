package testbed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// otherAddress is set in the process that plays the other testbed; it is what that one claims besides.
const otherAddress = "MONITOR_TESTBED_OTHER"

// TestTheOtherTestbed is no test but the other process of the one below: a testbed whose only node is off.
func TestTheOtherTestbed(t *testing.T) {
	address := os.Getenv(otherAddress)
	if address == "" {
		t.Skip("this is the other process of TestATestbedKeepsItsBlockFromOtherProcesses")
	}
	w := oneNode(t)
	w.mu.Lock()
	err := w.power(w.nodes["planetlab1.princeton.example"], false)
	w.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim(address); err != nil {
		t.Fatal(err)
	}
	fmt.Println("block", w.block)
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or the test that started it has died
}

func oneNode(t *testing.T) *World {
	t.Helper()
	w, err := Start(Options{Sites: []Site{{Login: "princeton", Nodes: 1, NoPCU: true}}, BootTime: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestATestbedKeepsItsBlockFromOtherProcesses(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	other, block := otherTestbed(t, address)

	node, err := net.Listen("tcp", fmt.Sprintf("127.%d.1.1:%d", block, ports[22]))
	if err != nil {
		t.Fatalf("the other's node is not off: %v", err)
	}
	_ = node.Close()
	if w := oneNode(t); w.block == block {
		t.Errorf("both testbeds are on 127.%d.0.0/16", block)
	}
	if _, err := claim(address); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("what a living process has claimed is claimed again: %v", err)
	}

	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	release, err := claim(address)
	if err != nil {
		t.Fatalf("what a dead process has claimed stays claimed: %v", err)
	}
	release()
}

func TestAWorldThatIsClosedGivesItsBlockBack(t *testing.T) {
	var open []*World
	for range 2 * blocks {
		w, err := Start(Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range open {
			if o.block == w.block {
				t.Errorf("two worlds of one process are on 127.%d.0.0/16", w.block)
			}
		}
		if open = append(open, w); len(open) == 2 {
			open[0].Close()
			open = open[1:]
		}
	}
	open[0].Close()
}

// otherTestbed starts the other process, and returns its block when its node is off.
func otherTestbed(t *testing.T, address string) (*exec.Cmd, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTheOtherTestbed$")
	cmd.Env = append(os.Environ(), otherAddress+"="+address)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
		if n, ok := strings.CutPrefix(lines.Text(), "block "); ok {
			block, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			return cmd, block
		}
	}
	t.Fatalf("the other testbed did not start: %q", said)
	return nil, 0
}
