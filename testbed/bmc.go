package testbed

import (
	"fmt"
	"net"
	"strings"

	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// The account of the testbed's BMCs.
const (
	BMCUser     = "monitor"
	BMCPassword = "bmc-s3cret"
)

// bmc is the management controller of one machine.
type bmc struct{ login, host, address string }

func bmcID(node int) int { return 100_000 + node }

// bmcFeed lets a BMC switch its machine, and tell it what to boot from.
type bmcFeed struct {
	feed
	m *machine
}

// BootsFrom says from what the machine boots next.
func (f bmcFeed) BootsFrom(_ int, device string) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.m.bootFrom = device
	f.w.tellSmall(f.m.login, f.m.Host+" is to boot once from "+device)
}

// addBMC gives a machine a BMC that speaks Redfish.
func (w *World) addBMC(m *machine) error {
	d, err := pcudev.New(pcudev.Options{Model: "Redfish", User: BMCUser, Password: BMCPassword,
		Outlets: bmcFeed{feed{w, []*machine{m}}, m}, OffTime: w.boot / 4})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:20443", w.block+1, m.site, m.id%100))
	if err != nil {
		return err
	}
	go func() { _ = d.Serve(l) }()
	w.closes = append(w.closes, func() { _ = l.Close() })
	w.bmcs = append(w.bmcs, bmc{m.login, m.Host, l.Addr().String()})
	w.DB.Add("PCUs", fakeplc.Row{"pcu_id": bmcID(m.id), "site_id": m.site, "hostname": "bmc-" + m.Host,
		"ip": l.Addr().String(), "username": BMCUser, "password": BMCPassword, "model": "Redfish",
		"node_ids": []any{m.id}, "ports": []any{1}})
	return nil
}

// Inventory is the testbed as a file that Monitor can read where there is no PLC. Passwords are in the files bmc_password
// and pcu_password beside it.
func (w *World) Inventory() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	address := map[string]string{}
	for _, b := range w.bmcs {
		address[b.host] = b.address
	}
	var s strings.Builder
	s.WriteString("sites:\n")
	for i, site := range w.sites {
		fmt.Fprintf(&s, "  - name: %s\n    title: University of %s\n    people:\n", site.Login, site.Login)
		for _, role := range []string{"tech", "pi", "user"} {
			fmt.Fprintf(&s, "      - {email: %s@%s.example, roles: [%s]}\n", role, site.Login, role)
		}
		if site.BMCs {
			fmt.Fprintf(&s, "    bmc: {model: Redfish, user: %s, password: {file: bmc_password}}\n", BMCUser)
		} else if !site.NoPCU {
			fmt.Fprintf(&s, "    pcus:\n      - {name: pcu.%s.example, address: '127.%d.%d.1:20023', model: APCControl12p3, "+
				"user: apc, password: {file: pcu_password}}\n", site.Login, w.block+1, i+1)
		}
		s.WriteString("    nodes:\n")
		for n := 1; n <= site.Nodes; n++ {
			host := fmt.Sprintf("planetlab%d.%s.example", n, site.Login)
			fmt.Fprintf(&s, "      - {name: %s, address: %s", host, w.nodes[host].IP)
			if site.BMCs {
				fmt.Fprintf(&s, ", bmc: '%s'", address[host])
			} else if !site.NoPCU {
				fmt.Fprintf(&s, ", power: [{pcu: pcu.%s.example, outlet: %d}]", site.Login, n)
			}
			s.WriteString("}\n")
		}
	}
	return s.String()
}
