package rig

import (
	"net/netip"
	"testing"
)

// A port that an outgoing connection takes meanwhile keeps a worker from starting.
func TestFreePort_IsNoneOfOutgoingConnections(t *testing.T) {
	for range 200 {
		address, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		if port := netip.MustParseAddrPort(address).Port(); port >= 32768 {
			t.Fatalf("it is %d", port)
		}
	}
}
