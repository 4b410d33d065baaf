// Package freeport finds ports for programs that listen some seconds later, as servers of others do when they have started.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Find answers an address of 127.0.0.1, with its port, at which nobody listens. The port lies below those that systems give to
// outgoing connections and to whoever asks for any (from 32768 on Linux, 49152 elsewhere): what is free there now is still
// free when a program listens, or comes back.
func Find() (address string, err error) {
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000))); err == nil {
			defer l.Close()
			return l.Addr().String(), nil
		}
	}
	return "", err
}

// ForTest is Find for a test.
func ForTest(t testing.TB) string {
	t.Helper()
	address, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
