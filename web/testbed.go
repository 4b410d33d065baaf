package web

import (
	"time"

	"github.com/planetlab/monitor/access"
)

// Testbed is the small world of a demo, where every visitor may break nodes and mend them, to see what Monitor does about
// it. Nothing but a demo has one: no setting gives the pages one.
type Testbed interface {
	Faults() []string         // what Break may do to a node, as a visitor reads it
	Wrong(host string) string // what is wrong with a node now; empty: nothing
	Break(host, fault string) error
	Heal(host string) error

	Day() time.Duration // how long a policy day lasts
	SetDay(time.Duration) error
}

// speedView is how fast time passes in a demo, and what a visitor may make of it.
type speedView struct {
	Day  string
	Days []string
}

// speed is the panel of the first page; nil where this is no demo.
func (s *Server) speed() *speedView {
	if s.Testbed == nil {
		return nil
	}
	return &speedView{Day: s.Testbed.Day().String(), Days: []string{"3s", "5s", "10s", "30s", "1m0s"}}
}

// setSpeed changes how long a policy day lasts in a demo. As tamper it is no order.
func (s *Server) setSpeed(r *request) (view, error) {
	if err := r.somewhere(access.SeeNodes); err != nil {
		return view{}, err
	}
	day, err := time.ParseDuration(r.PostFormValue("day"))
	if err != nil || day <= 0 || day > time.Hour {
		return view{}, badInput("A policy day lasts up to an hour here, as 10s.")
	}
	if err := s.Testbed.SetDay(day); err != nil {
		return view{}, badInput("%v", err)
	}
	s.drawings.anew()
	return view{To: "/"}, nil
}

// testbedView is what a node's page offers in a demo.
type testbedView struct {
	URL    string
	Wrong  string
	Faults []string
}

// ofTestbed is the panel for a node; nil where this is no demo.
func (s *Server) ofTestbed(host string) *testbedView {
	if s.Testbed == nil {
		return nil
	}
	return &testbedView{URL: nodeURL(host) + "/testbed", Wrong: s.Testbed.Wrong(host), Faults: s.Testbed.Faults()}
}

// tamper breaks a node of a demo, or mends it: the form says which fault, or none. It acts on the world alone, and so
// it is no order, and stands in no ledger.
func (s *Server) tamper(r *request) (view, error) {
	n, err := s.findNode(r, access.SeeNodes)
	if err != nil {
		return view{}, err
	}
	if fault := r.PostFormValue("fault"); fault != "" {
		err = s.Testbed.Break(n.Hostname, fault)
	} else {
		err = s.Testbed.Heal(n.Hostname)
	}
	if err != nil {
		return view{}, badInput("%v", err)
	}
	return view{To: nodeURL(n.Hostname)}, nil
}
