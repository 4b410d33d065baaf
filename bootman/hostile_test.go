package bootman_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/testbed/hostile"
)

// Whatever a node says to bootman, what comes out is clean, bounded and in time.
func TestHostileNodesAreReadSafely(t *testing.T) {
	reader, err := bootman.New()
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	for i, h := range hostile.Nodes() {
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			address := hostile.Serve(t, fmt.Sprintf("127.9.8.%d:0", i+1), h).(*net.TCPAddr)
			target := bootman.Target{
				Host:      "evil.example",
				Addresses: []string{address.String()},
				User:      "root",
				Keys:      []ssh.Signer{key},
				Timeout:   2 * time.Second,
				HostKey:   func(ssh.PublicKey) error { return nil },
			}
			began := time.Now()
			c, err := bootman.Dial(t.Context(), target)
			if err == nil {
				defer c.Close()
				var r bootman.Reading
				if r, err = reader.Read(t.Context(), c); err == nil &&
					(r.State != bootman.Unknown || r.Sequence != "") {
					t.Errorf("it is believed: %s %s", r.State, r.Sequence)
				}
				_, keyErr := bootman.NodeKey(t.Context(), c)
				_, spaceErr := bootman.ClearSpace(t.Context(), c)
				for _, err := range []error{keyErr, spaceErr, bootman.Fsck(t.Context(), c, "boot")} {
					checkError(t, err)
				}
				lines, dmesgErr := bootman.Dmesg(t.Context(), c, 20)
				checkError(t, dmesgErr)
				for _, l := range lines {
					if !clean.Is(l, 300) {
						t.Errorf("a line of dmesg: %.300q", l)
					}
				}
			}
			checkError(t, err)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it takes %s", took)
			}
		})
	}
}

func checkError(t *testing.T, err error) {
	t.Helper()
	if err != nil && (!clean.Is(err.Error(), 2*clean.MaxLine) || strings.Contains(err.Error(), "\n")) {
		t.Errorf("an error of %d bytes: %.300q", len(err.Error()), err.Error())
	}
}
