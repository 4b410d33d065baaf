package testbed

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// blocks is how many testbeds fit on one machine at once: each has loopback networks 127.<b> and 127.<b+1> for itself.
const blocks = 20

// firstClaim is the port of the first block's claim; the others follow. They lie below those that systems give to connections.
const firstClaim = 20100

// claim takes an address for as long as this process lives, or until it is released. It listens there and never accepts: the
// system lets one process listen, and forgets it when it dies, however it dies. Testbeds share a block's addresses only if they
// share the loopback interface, and then they share its ports as well, which no lock file could promise.
//
// The listeners of a testbed's own nodes are no claim: a node that is off does not listen.
func claim(address string) (release func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return func() { _ = l.Close() }, nil
}

// claimBlock calls start with the second octet of a block that is this testbed's alone, and again with another one as long as somebody
// who is no testbed has an address of it.
func claimBlock(start func(block int, release func()) (*World, error)) (*World, error) {
	for n := range blocks {
		release, err := claim(fmt.Sprintf("127.0.0.1:%d", firstClaim+n))
		if err == nil {
			var w *World
			if w, err = start(10+2*n, release); err == nil {
				return w, nil
			}
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%d other testbeds are running, or something else listens on ports %d to %d of 127.0.0.1, or on port %d of 127.10.1.1: end it",
		blocks, firstClaim, firstClaim+blocks-1, ports[22])
}
