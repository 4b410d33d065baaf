package answers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

func TestAThingIsAsHealthyAsItsFreshRecordsSay(t *testing.T) {
	now := time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC)
	c := Clock{Now: now, MaxAge: time.Hour}
	fresh := Belief{Known: true, Believed: now.Add(-10 * time.Minute)}
	stale := Belief{Known: true, Believed: now.Add(-2 * time.Hour), Doubt: "half of the fleet fell silent"}
	node := func(status policy.Status, change func(*Node)) Check {
		v := Node{Hostname: "n1.lab", Status: status, Since: now.AddDate(0, 0, -3), Seen: now.Add(-5 * time.Minute), Reason: "no ssh"}
		if change != nil {
			change(&v)
		}
		return CheckNode(v, fresh, c)
	}
	site := func(status policy.Status, penalty int) Check {
		return CheckSite(Site{LoginBase: "lab", Status: status, Since: now.AddDate(0, 0, -3), Penalty: penalty, Nodes: []Node{
			{Status: policy.StatusGood, Seen: now}, {Status: policy.StatusDown, Seen: now.AddDate(0, 0, -1)}}}, fresh, c)
	}
	pcu := func(status string, ok bool, seen time.Time) Check {
		return CheckPCU(selection.PCU{Name: "pcu1", Status: status, Changed: now.AddDate(0, 0, -3), OK: ok, Reason: "wrong password",
			SeenAt: seen, Nodes: []string{"n1.lab"}}, fresh, c)
	}
	for name, x := range map[string]struct {
		got  Check
		want string
	}{
		"a good node":      {node("good", nil), "NODE OK - n1.lab is good for 3d | age=300s;;3600;0 issues=0;;;0"},
		"its uptime":       {node("online", func(n *Node) { n.Uptime = 93600 }), "NODE OK - n1.lab is online for 3d | age=300s;;3600;0 issues=0;;;0 uptime=93600s;;;0"},
		"a silent one":     {node("offline", nil), "NODE WARNING - n1.lab is offline for 3d: no ssh | age=300s;;3600;0 issues=0;;;0"},
		"one out of use":   {node("disabled", nil), "NODE WARNING - n1.lab is disabled for 3d: no ssh | age=300s;;3600;0 issues=0;;;0"},
		"one that is down": {node("down", nil), "NODE CRITICAL - n1.lab is down for 3d: no ssh | age=300s;;3600;0 issues=0;;;0"},
		"in debug mode":    {node("failboot", nil), "NODE CRITICAL - n1.lab is failboot for 3d: no ssh | age=300s;;3600;0 issues=0;;;0"},
		"not judged":       {node("", nil), "NODE UNKNOWN - n1.lab was not judged yet: no ssh | age=300s;;3600;0 issues=0;;;0"},
		"behind a firewall": {node("good", func(n *Node) { n.Firewall = true }),
			"NODE WARNING - n1.lab is good for 3d, behind a firewall | age=300s;;3600;0 issues=0;;;0"},
		"with an issue": {node("good", func(n *Node) {
			n.Issues = []Issue{{Type: "dnserror", Status: "paused"}, {Type: "nodedown", Status: "closed"}}
		}),
			"NODE WARNING - n1.lab is good for 3d; open issues: dnserror | age=300s;;3600;0 issues=1;;;0"},
		"left alone": {node("down", func(n *Node) { n.Blacklisted = &store.BlacklistEntry{} }),
			"NODE CRITICAL - n1.lab is down for 3d: no ssh; it is left alone | age=300s;;3600;0 issues=0;;;0"},
		"gone": {node("good", func(n *Node) { n.Gone = true }), "NODE UNKNOWN - n1.lab is gone: the inventory no longer has it"},
		"an old look": {node("good", func(n *Node) { n.Seen = now.Add(-2 * time.Hour) }),
			"NODE UNKNOWN - n1.lab was last looked at 2h0m ago | age=7200s;;3600;0 issues=0;;;0"},
		"no look": {node("good", func(n *Node) { n.Seen = time.Time{} }), "NODE UNKNOWN - n1.lab was never looked at | age=U issues=0;;;0"},
		"text from outside": {node("down", func(n *Node) { n.Reason = "a|b\nc\x1b[31m|d" }),
			"NODE CRITICAL - n1.lab is down for 3d: a/b c\uFFFD[31m/d | age=300s;;3600;0 issues=0;;;0"},
		"a good site": {site("good", 0), "SITE OK - lab is good for 3d, 1 of 2 nodes up | nodes_up=1;;;0;2 penalty=0;0;1;0;2 issues=0;;;0"},
		"a penalised one": {site("good", 2),
			"SITE WARNING - lab is good for 3d, 1 of 2 nodes up, penalty level 2 | nodes_up=1;;;0;2 penalty=2;0;1;0;2 issues=0;;;0"},
		"a site that is down": {site("down", 1),
			"SITE CRITICAL - lab is down for 3d, 1 of 2 nodes up, penalty level 1 | nodes_up=1;;;0;2 penalty=1;0;1;0;2 issues=0;;;0"},
		"a new site": {site("new", 0), "SITE OK - lab is new for 3d, 1 of 2 nodes up | nodes_up=1;;;0;2 penalty=0;0;1;0;2 issues=0;;;0"},
		"a good PCU": {pcu("good", true, now), "PCU OK - pcu1 is good for 3d | age=0s;;3600;0 nodes=1;;;0 issues=0;;;0"},
		"one that just failed": {pcu("good", false, now),
			"PCU WARNING - pcu1 is good for 3d, its last dry run failed: wrong password | age=0s;;3600;0 nodes=1;;;0 issues=0;;;0"},
		"one that is long bad": {pcu("down", false, now),
			"PCU CRITICAL - pcu1 is down for 3d, its last dry run failed: wrong password | age=0s;;3600;0 nodes=1;;;0 issues=0;;;0"},
		"an old dry run": {pcu("good", true, now.AddDate(0, 0, -1)),
			"PCU UNKNOWN - pcu1 was last looked at 1d ago | age=86400s;;3600;0 nodes=1;;;0 issues=0;;;0"},
		"PLC":            {CheckPLC(fresh, c), "PLC OK - the last sweep read it | age=600s;;3600;0"},
		"PLC in doubt":   {CheckPLC(Belief{true, fresh.Believed, "it shrank"}, c), "PLC WARNING - the last sweep is not believed: it shrank | age=600s;;3600;0"},
		"PLC long ago":   {CheckPLC(stale, c), "PLC UNKNOWN - not known: the last sweep that is believed ended 2h0m ago: half of the fleet fell silent"},
		"PLC, not known": {CheckPLC(Belief{}, c), "PLC UNKNOWN - not known: how the last sweep went may not be read"},
		"no sweep":       {CheckPLC(Belief{Known: true}, c), "PLC UNKNOWN - not known: no sweep has ever been believed"},
		"a mistake":      {CheckFailed("node", "", errors.New("no database\n| at all")), "NODE UNKNOWN - no database / at all"},
		"a good node, and no sweep is believed": {CheckNode(Node{Hostname: "n1.lab", Status: "good", Seen: now}, stale, c),
			"NODE UNKNOWN - n1.lab not known: the last sweep that is believed ended 2h0m ago: half of the fleet fell silent | age=0s;;3600;0 issues=0;;;0"},
		"who may not read that goes by the look": {CheckNode(Node{Hostname: "n1.lab", Status: "good", Seen: now}, Belief{}, c),
			"NODE OK - n1.lab is good | age=0s;;3600;0 issues=0;;;0"},
	} {
		if got := x.got.Line(); got != x.want {
			t.Errorf("%s: %q, not %q", name, got, x.want)
		}
		if strings.Count(x.got.Line(), "|") > 1 || strings.ContainsAny(x.got.Line(), "\n\x1b") || x.got.Code != int(x.got.Health) {
			t.Errorf("%s: %+v", name, x.got)
		}
	}
}
