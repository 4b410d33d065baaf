package activities

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/planetlab/monitor/store"
)

// Reach says where PCUs may be. Whoever may edit a record in PLC chooses where Monitor connects, and with which
// password: that must be neither this machine nor what only this machine reaches. The zero value lets none be anywhere
// but on other machines.
type Reach struct {
	Networks []netip.Prefix // where they may be; an address here may even be one of ours. Empty: anywhere else
	Own      func() ([]net.Addr, error)
}

// NewReach reads networks as 10.1.0.0/16.
func NewReach(networks []string) (*Reach, error) {
	r := &Reach{Own: net.InterfaceAddrs}
	for _, text := range networks {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("pcu.networks: %w", err)
		}
		r.Networks = append(r.Networks, n.Masked())
	}
	return r, nil
}

// metadata are the addresses at which clouds hand out credentials to whoever asks from inside of a machine; those that
// are link-local need no line.
func metadata() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),   // Amazon, IPv6
		netip.MustParseAddr("100.100.100.200"), // Alibaba
		netip.MustParseAddr("168.63.129.16"),   // Azure's host
	}
}

// May says why a PCU cannot be at an address, or nil.
func (r *Reach) May(to netip.Addr) error {
	to = to.Unmap().WithZone("")
	if slices.ContainsFunc(r.Networks, func(n netip.Prefix) bool { return n.Contains(to) }) {
		return nil
	}
	switch {
	case len(r.Networks) > 0:
		return fmt.Errorf("%s is in none of pcu.networks", to)
	case to.IsLoopback(), to.IsUnspecified():
		return fmt.Errorf("%s is this machine; pcu.networks may name it where that is meant", to)
	case to.IsLinkLocalUnicast(), to.IsMulticast(), to.IsInterfaceLocalMulticast(), slices.Contains(metadata(), to):
		return fmt.Errorf("%s is no address of another machine; pcu.networks may name it where that is meant", to)
	}
	own, err := r.Own()
	if err != nil {
		return fmt.Errorf("this machine's addresses are not known: %w", err)
	}
	for _, a := range own {
		if n, err := netip.ParsePrefix(a.String()); err == nil && n.Addr().Unmap() == to {
			return fmt.Errorf("%s is Monitor's own address; pcu.networks may name it where that is meant", to)
		}
	}
	return nil
}

// The rules for passwords in the clear, as pcu.clear_text names them.
const (
	ClearRefuse = "refuse"
	ClearRecord = "record"
	ClearAllow  = "allow"
)

// Ports that say of a record that the PCU speaks nothing but what is encrypted.
const (
	portSSH   = 22
	portHTTPS = 443
)

// noClearText reports whether a PCU's password must not travel in the clear: never by refuse; by record, not to a PCU
// that has ever shown an ssh host key or a certificate, and not where its record says ssh or https. Whoever sits
// between could else close one port and wait at another.
func noClearText(rule string, pins map[string]string, port int) bool {
	switch rule {
	case ClearRefuse:
		return true
	case ClearRecord:
		return pins[store.HostKey] != "" || pins[store.Certificate] != "" || port == portSSH || port == portHTTPS
	}
	return false
}
