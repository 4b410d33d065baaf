package testbed

import (
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/testbed/fakenode"
)

// become changes what a machine does; one that can tells PLC. w.mu is held.
func (w *World) become(m *machine, state fakenode.State) error {
	switch state {
	case fakenode.Up:
		w.DB.Set("Nodes", m.id, "run_level", "boot")
	case fakenode.Debug, fakenode.OldBootCD:
		w.DB.Set("Nodes", m.id, "run_level", "failboot")
	}
	return m.SetState(state)
}

// told is what becomes of a machine that was told something in debug mode.
func (w *World) told(m *machine, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tellSmall(m.login, m.Host+" is told "+what)
	if m.fault != nil && m.fault.FixedBy == Bootman && what == m.fault.Fix {
		m.fixed = true
	}
	switch {
	case what == "shutdown -r now", what == "sysrq b":
		m.boots++
		_ = w.restart(m)
	case strings.HasPrefix(what, "BootManager.py "):
		m.boots++
		w.afterBoot(m, func() {
			if !m.fixed {
				w.tellSmall(m.login, m.Host+" is in debug mode again")
				_ = m.FinishBootManager()
				return
			}
			m.fault = nil
			w.tellSmall(m.login, m.Host+" boots from there and is up")
			_ = w.become(m, fakenode.Up)
		})
	}
}

// nodeKey is the key by which PLC knows a node of the testbed.
func nodeKey(host string) string { return "key of " + host }

// TellHostKey makes a node tell PLC the ssh host key that it shows now.
func (w *World) TellHostKey(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.nodes[host]
	w.DB.Set("Nodes", m.id, "ssh_rsa_key", string(ssh.MarshalAuthorizedKey(m.ShownKey())))
}

// Told lists what a node was made to run in debug mode.
func (w *World) Told(host string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[host].Told()
}
