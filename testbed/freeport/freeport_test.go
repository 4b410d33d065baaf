package freeport

import (
	"net/netip"
	"testing"
)

// A port that an outgoing connection takes meanwhile keeps a program from starting.
func TestFind_IsNoneOfOutgoingConnections(t *testing.T) {
	for range 200 {
		if port := netip.MustParseAddrPort(ForTest(t)).Port(); port >= 32768 {
			t.Fatalf("it is %d", port)
		}
	}
}
