// Package netfault puts into words why no connection came about.
package netfault

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Why says why no connection to a port came about.
func Why(err error, port int) (timedOut bool, why string) {
	why = fmt.Sprintf("port %d", port)
	var ne net.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return false, "no such host"
	case errors.As(err, &ne) && ne.Timeout():
		return true, why
	case errors.Is(err, syscall.ECONNREFUSED):
		return false, why + " is closed"
	}
	return false, why
}
