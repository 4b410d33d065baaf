package policy

import (
	"fmt"
	"strings"
)

const gatePage = `# The gate

Written by ~make docs~ from policy/gate.go; do not edit.

Every act on the world passes these checks in this order, on facts gathered afresh, under the lock of what is acted on,
directly before the point of no return. The first that says no gives the reason, and the time when to ask again. A fact
that is not known forbids. Recoveries, thanks, and undoing what Monitor changed always pass.

| check | what must hold | asked before | after a no, the rung | the sweep wakes it |
|---|---|---|---|---|
%s
## Waiting, retry, and what is passed over

A rung that waits is asked for again at the time that the no gives, else after 6 h and then ever more rarely, up to
every 30 days. Where the last column says yes, the sweep that sees the reason gone sends the issue the signal ~retry~
before that. A penalty that waits is asked for again by its site.

~retry~ makes a rung that waits due now, and does nothing else. The gate is asked again from its first check, on fresh
facts: no attempt is forgotten, no budget passed, no yield shortened, and a pause holds. Anybody may send it
(~temporal workflow signal --name retry --workflow-id nodedown/<host>~). A rung whose answer was lost is not done
again by it: the ledger is asked what became of it.

A rung that is passed over is over, and ~retry~ does not bring it back. After *pcu* the signal ~pcuback~ does: when
the issue of its PCU closes, an issue whose node was not rebooted meanwhile goes back to its power rungs, and then
goes on where it was. After *firewall* and *attempts* nothing does in the same issue: no reboot mends a firewall, and
a node that was power-cycled too often needs a person; the admins are told so once. What people were asked to switch
by hand, and what surely did not happen, is no attempt.

## Orders of persons

What a person orders, as ~monitor node reboot~ does, passes the same checks in the same order. What is exempt or on the
blacklist is left alone whoever asks, nothing is done while Monitor is stopped, observes or has no lease, and budgets
count orders too. An operator may pass over these checks, and nobody else any:

| check | passed over by | why |
|---|---|---|
%s
A no of the gate refuses the order, unless it ends by itself within the time that the person waits for. Where *pcu* says
no, the next way is tried. While a person's order to a node is under way, the issues of that node wait (*covered*).

Where an outlet is on again that Monitor had left off, or may have, and where a person has turned one on by an order,
*booting* gives the node policy.machine_step before a rung may cut its power, and policy.boot_grace before an order may.

What a person turns off by an order, as ~monitor pcu off~ does, stays off (*held off*): no rung and no other order cuts or gives
the node's power, and nobody is written to, until somebody turns it on by an order. Its site counts it as a
node that works, and no penalty rises for its issues alone; what is denied already stays so. A node that has answered
since is held no longer: somebody has turned it on by hand.
`

// listed are acts by their names, separated by commas.
func listed(acts []Act, none string) string {
	if len(acts) == 0 {
		return none
	}
	var names []string
	for _, a := range acts {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

// GateMarkdown is a page about the gate.
func GateMarkdown() string {
	var rows strings.Builder
	for _, c := range Gate() {
		acts := listed(c.For, "every act")
		wakes := ""
		if c.Swept {
			wakes = "yes"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s |\n", c.Name, c.Asks, acts, c.Then, wakes)
	}
	var waived strings.Builder
	for _, w := range Waivers() {
		by := "`--" + string(w.Asked) + "`"
		if w.Asked == "" {
			by = "every order of an operator to " + listed(w.For, "do it")
		}
		fmt.Fprintf(&waived, "| %s | %s | %s |\n", w.Check, by, w.Why)
	}
	return strings.ReplaceAll(fmt.Sprintf(gatePage, rows.String(), waived.String()), "~", "`")
}
