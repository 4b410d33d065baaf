package web

import (
	"github.com/planetlab/monitor/access"
)

// Testbed is the small world of a demo, where every visitor may break nodes and mend them, to see what Monitor does about
// it. Nothing but a demo has one: no setting gives the pages one.
type Testbed interface {
	Faults() []string         // what Break may do to a node, as a visitor reads it
	Wrong(host string) string // what is wrong with a node now; empty: nothing
	Break(host, fault string) error
	Heal(host string) error
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
