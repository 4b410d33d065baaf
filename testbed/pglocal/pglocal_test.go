package pglocal

import (
	"errors"
	"net"
	"os"
	"testing"
)

func TestAPortThatIsTakenIsToldFromOtherTrouble(t *testing.T) {
	bin, err := binaries(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir, command, err := initialise(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := l.Addr().(*net.TCPAddr).Port
	if c, err := serve(t.Context(), dir, taken, command); !errors.Is(err, errPortTaken) {
		t.Fatalf("got %+v, %v", c, err)
	}
	_ = l.Close()
	c, err := serve(t.Context(), dir, taken, command)
	if err != nil {
		t.Fatalf("the same cluster on a port that is free again: %v", err)
	}
	if err := errors.Join(c.Stop(), c.Stop()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left behind: %v", err)
	}
}
