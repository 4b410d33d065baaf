package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	personal "github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// nodeView is all that is known of a node.
type nodeView struct {
	store.Node
	Strip    strip
	Seen     probe.NodeResult
	Ports    []fact
	Inside   []fact
	Symptoms []fact
	Feeds    []feedView
	Issues   []store.Issue
	Actions  []store.Action
	MayDone  bool
	Changes  []store.Passage
	Silenced *store.BlacklistEntry
	Logs     []store.BootLog
	MayLogs  bool
	Cycles   int
	Reach    []fact
	PLC      string
	Order    *personal.Story // the latest that a person gave
	Orders   orderable
	Testbed  *testbedView
}

type fact struct{ Name, Value, Tone, URL string }

type feedView struct {
	store.PCU
	Outlet int
}

// findNode reads a node that the visitor may see.
func (s *Server) findNode(r *request, v access.Verb) (store.Node, error) {
	if err := r.somewhere(v); err != nil {
		return store.Node{}, err
	}
	n, err := s.Store.Node(r.Context(), r.PathValue("host"))
	if errors.Is(err, store.ErrNotFound) || err == nil && r.must(v, n.Site) != nil {
		return n, notFound("There is no node %s.", r.PathValue("host"))
	}
	return n, err
}

func (s *Server) node(r *request) (view, error) {
	n, err := s.findNode(r, access.SeeNodes)
	if err != nil {
		return view{}, err
	}
	ctx := r.Context()
	v := nodeView{Node: n, MayDone: r.may(access.SeeLedger, n.Site), MayLogs: r.may(access.SeeLogs, n.Site)}
	v.Changes, err = s.Store.StatusHistory(ctx, "node", n.Hostname, r.now.Add(-days*s.Policy.Day))
	if err != nil {
		return view{}, err
	}
	v.Strip = drawStrip("Status of "+n.Hostname, v.Changes, r.now, s.Policy.Day)
	slices.Reverse(v.Changes)
	v.readSeen()
	for _, f := range n.Feeds {
		p, err := s.Store.PCU(ctx, f.PCUID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return view{}, err
		}
		p.PCUID = f.PCUID
		v.Feeds = append(v.Feeds, feedView{p, f.Outlet})
	}
	if v.Issues, err = s.Store.Issues(ctx, store.IssueFilter{Node: n.Hostname, Limit: 50}); err != nil {
		return view{}, err
	}
	if v.MayDone {
		if v.Actions, err = s.Store.Actions(ctx, store.ActionFilter{Node: n.Hostname, Limit: 50}); err != nil {
			return view{}, err
		}
	}
	if v.MayLogs {
		if v.Logs, err = s.Store.BootLogs(ctx, n.Hostname); err != nil {
			return view{}, err
		}
	}
	cycles, err := s.Store.PowerCycles(ctx, n.Hostname, r.now.Add(-7*s.Policy.Day))
	if err != nil {
		return view{}, err
	}
	v.Cycles = len(cycles)
	if e, listed, err := s.Store.Blacklisted(ctx, n.Hostname, n.Site, "", r.now); err != nil {
		return view{}, err
	} else if listed {
		v.Silenced = &e
	}
	v.Reach, v.Testbed = reachNode(v), s.ofTestbed(n.Hostname)
	if s.PLCPages != "" {
		v.PLC = strings.TrimRight(s.PLCPages, "/") + "/db/nodes/node.php?" + url.Values{"id": {fmt.Sprint(n.NodeID)}}.Encode()
	}
	v.Orders, v.Order = s.orderable(r, "nodes", n.Hostname, n.Site), s.latestOrder(r, n)
	if v.Order == nil || v.Order.End != "" {
		v.Orders.without(access.NodeCancel)
	}
	return view{Template: "node", Title: n.Hostname, Data: &v, Topics: []string{"status", "issue", "ledger", "control"}}, nil
}

// latestOrder is what became of the latest order to a node, where Temporal tells soon.
func (s *Server) latestOrder(r *request, n store.Node) *personal.Story {
	if s.Temporal == nil || !r.may(access.SeeLedger, n.Site) {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	story, err := answers.Request(ctx, s.Temporal, n.Hostname, "")
	if err != nil || story.Input.DryRun {
		return nil // there is none, or it cannot be asked now
	}
	return &story
}

// readSeen takes the last look apart.
func (v *nodeView) readSeen() {
	if json.Unmarshal(v.Detail, &v.Seen) != nil {
		return
	}
	for _, port := range []int{22, 80, 806} {
		if said := v.Seen.Ports[port]; said != "" {
			v.Ports = append(v.Ports, fact{Name: fmt.Sprintf("port %d", port), Value: said})
		}
	}
	if v.Seen.SSH.Failure != "" || v.Seen.SSH.OK {
		ssh := fact{Name: "ssh", Value: "ok", Tone: "good"}
		if !v.Seen.SSH.OK {
			ssh = fact{Name: "ssh", Value: v.Seen.SSH.Failure + ": " + v.Seen.SSH.Detail, Tone: "bad"}
			ssh.Value = strings.TrimSuffix(ssh.Value, ": ")
		}
		v.Ports = append(v.Ports, ssh)
	}
	for _, f := range []fact{{Name: "ping", Value: v.Seen.Ping}, {Name: "DNS", Value: v.Seen.DNS}} {
		if f.Value != "" {
			v.Ports = append(v.Ports, f)
		}
	}
	in := v.Seen.Inside
	for _, f := range []fact{{Name: "kernel", Value: in.Kernel}, {Name: "boot CD", Value: in.BootCD}, {Name: "boot server", Value: in.BootServer},
		{Name: "resolves names", Value: in.DNS}, {Name: "read-only disks", Value: strings.Join(in.ReadOnly, ", ")}} {
		if f.Value != "" {
			v.Inside = append(v.Inside, f)
		}
	}
	if in.Kernel != "" {
		v.Inside = append(v.Inside, fact{Name: "node manager", Value: map[bool]string{true: "runs", false: "does not run"}[in.NodeManager]})
	}
	for disk, outcome := range in.Writes {
		v.Inside = append(v.Inside, fact{Name: "writing to " + disk, Value: outcome, Tone: "bad"})
	}
	var symptoms map[string]policy.Symptom
	if json.Unmarshal(v.Node.Symptoms, &symptoms) == nil {
		for name := range symptoms {
			v.Symptoms = append(v.Symptoms, fact{Name: name, URL: "/issues/" + name + "/" + url.PathEscape(v.Hostname)})
		}
		slices.SortFunc(v.Symptoms, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
	}
}

// reachNode are ready lines to reach a node and what feeds it; never with a password.
func reachNode(v nodeView) (lines []fact) {
	lines = append(lines, fact{Name: "the node", Value: "ssh root@" + v.Hostname})
	for _, f := range v.Feeds {
		lines = append(lines, reachPCU(f.PCU, f.Outlet)...)
	}
	return lines
}

func reachPCU(p store.PCU, outlet int) []fact {
	at := cmp.Or(p.Hostname, p.IP)
	if at == "" {
		return nil
	}
	user := ""
	if p.Username != "" {
		user = p.Username + "@"
	}
	status := fmt.Sprintf("monitor pcu status --model %s --host %s --user %s --password-file FILE", p.Model, at, cmp.Or(p.Username, "USER"))
	if outlet > 0 {
		status += fmt.Sprintf(" --outlet %d", outlet)
	}
	return []fact{{Name: "its PCU", Value: "ssh " + user + at}, {Value: "telnet " + at}, {Value: "https://" + at + "/"}, {Value: status}}
}

// logView is the boot log that was fetched last.
type logView struct {
	store.BootLog
	Host string
	Text string
	Why  string // it cannot be shown
}

func (s *Server) bootLog(r *request) (view, error) {
	n, err := s.findNode(r, access.SeeLogs)
	if err != nil {
		return view{}, err
	}
	v := logView{Host: n.Hostname}
	v.BootLog, err = s.Store.LastBootLog(r.Context(), n.Hostname)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return view{}, mistake{http.StatusNotFound, "No boot log of " + n.Hostname + " is kept."}
	case err != nil:
		s.Log.Warn("a boot log cannot be read", "node", n.Hostname, "error", err)
		v.Why = "It cannot be opened: the key that sealed it is not here, or is another one."
	}
	v.Text = clean.Bounded(string(v.Log), 1<<20)
	return view{Template: "bootlog", Title: "Boot log of " + n.Hostname, Data: &v}, nil
}
