package web

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// jump leads from a name to its page: a host, a site, a PCU, an issue; from a pattern or an expression to the nodes
// that it selects; else to the nodes whose names hold the words.
func (s *Server) jump(r *request) (view, error) {
	if err := r.somewhere(access.SeeNodes); err != nil {
		return view{}, err
	}
	text := strings.TrimSpace(r.URL.Query().Get("q"))
	if text == "" {
		return view{To: "/"}, nil
	}
	if typ, target, is := strings.Cut(text, "/"); is {
		if _, known := issue.Lookup(typ); known && target != "" {
			return view{To: issueURL(text)}, nil
		}
	}
	if strings.ContainsAny(text, "=<>*?,@!~ ") {
		return view{To: listURL("nodes", text)}, nil
	}
	t, err := answers.Find(r.Context(), s.Store, strings.ToLower(text))
	if errors.Is(err, store.ErrNotFound) {
		t, err = answers.Find(r.Context(), s.Store, text)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s.jumpNear(r, text)
	case err != nil:
		return view{}, err
	}
	switch t.Kind {
	case answers.KindSite:
		return view{To: siteURL(t.Name)}, nil
	case answers.KindPCU:
		p, err := s.Store.PCUByName(r.Context(), t.Name)
		return view{To: pcuURL(p.PCUID)}, err
	}
	return view{To: nodeURL(t.Name)}, nil
}

// jumpNear leads to what has the text in its name: the only node or site, or the list of nodes.
func (s *Server) jumpNear(r *request, text string) (view, error) {
	nodes, err := s.read.nodes(r.Context(), selection.NodeParts{})
	if err != nil {
		return view{}, err
	}
	var names, sites []string
	low := strings.ToLower(text)
	for _, n := range nodes {
		if !r.own(n.Site) {
			continue
		}
		if strings.Contains(strings.ToLower(n.Name), low) {
			names = append(names, n.Name)
		}
		if strings.Contains(strings.ToLower(n.Site), low) && !slices.Contains(sites, n.Site) {
			sites = append(sites, n.Site)
		}
	}
	switch {
	case len(names) == 1:
		return view{To: nodeURL(names[0])}, nil
	case len(sites) == 1 && len(names) == 0:
		return view{To: siteURL(sites[0])}, nil
	case len(names) > 1:
		return view{To: "/nodes?" + url.Values{"select": {"*" + text + "*"}}.Encode()}, nil
	}
	return view{}, notFound("Nothing is called %q: no node, site, PCU or issue.", text)
}

// legendState is a state, and what it means.
type legendState struct{ State, Means string }

// legend says what the states mean.
func (s *Server) legend(r *request) (view, error) {
	if err := r.must(access.SeeSelf, ""); err != nil {
		return view{}, err
	}
	return view{Template: "legend", Title: "What the states mean", Data: map[string][]legendState{
		"Nodes": {
			{"online", "it works, and has for a short time only"},
			{"good", "it works, and has for long"},
			{"offline", "it does not work, and has not for a short time"},
			{"down", "it has not worked for so long that people are told"},
			{"failboot", "it is in debug mode: its boot failed"},
			{"safeboot", "somebody put it into debug mode, and works on it"},
			{"disabled", "PLC keeps it from booting: it is left alone"},
		},
		"Sites": {
			{"good", "enough of its nodes work"}, {"online", "so they do, and have for a short time only"},
			{"offline", "too few of its nodes work, for a short time"}, {"down", "for so long that its penalty may rise"},
			{"new", "it is young, and not yet judged"},
		},
		"PCUs": {
			{"good", "its dry runs pass: the login works, and the outlet can be read"}, {"online", "so they do, for a short time only"},
			{"offline", "the last dry run failed"}, {"down", "dry runs have failed for so long that people are told"},
		},
		"Issues": {
			{"open", "Monitor works on it"}, {"paused", "somebody asked Monitor to wait"}, {"closed", "it is over"},
		},
		"Outcomes": {
			{"done", "it was done, and read back where that is possible"}, {"sent", "it was given to the device or the mail server, and cannot be verified"},
			{"asked", "people were asked to do it"}, {"refused", "it was not allowed"}, {"failed", "it surely did not happen"},
			{"ambiguous", "it may have happened; it is never repeated blindly"}, {"skipped", "it was looked at, and not acted on"},
		},
	}}, nil
}
