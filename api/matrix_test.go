package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

// asked is how an operation is asked for a site; the empty site is the fleet.
type asked struct {
	path string
	body any
}

// requests are one for each operation of the document, by its id.
func requests() map[string]func(site string) asked {
	fixed := func(path string, body any) func(string) asked {
		return func(string) asked { return asked{path, body} }
	}
	why := object{"reason": "x"}
	issue := func(order string, more ...any) func(string) asked {
		return func(site string) asked {
			body := object{"reason": "x"}
			for i := 0; i+1 < len(more); i += 2 {
				body[more[i].(string)] = more[i+1]
			}
			return asked{"/issues/nodedown/" + nodeOf(site) + "/" + order, body}
		}
	}
	pcu := func(site string) string { return "pcu1." + site + ".example" }
	return map[string]func(string) asked{
		"listExemptions": fixed("/exemptions", nil),
		"listDisabled":   fixed("/disabled", nil),
		"listRollouts":   fixed("/rollouts", nil),
		"getRollout":     fixed("/rollouts/new-image", nil),
		"startRollout": fixed("/rollouts", object{"name": "new-image", "act": "reboot", "node_ids": []int{10}, "group": 1, "max_failed": 0,
			"reason": "x"}),
		"listRuns":    fixed("/runs", nil),
		"getRun":      fixed("/runs/20261124-140300.000", nil),
		"getRunNode":  func(site string) asked { return asked{"/runs/20261124-140300.000/nodes/" + nodeOf(site), nil} },
		"startRun":    fixed("/runs", object{"hosts": []string{nodeOf(mine)}, "script": "true", "reason": "x"}),
		"cancelRun":   fixed("/runs/20261124-140300.000/cancel", why),
		"findOutlets": func(site string) asked { return asked{"/outlets?target=" + nodeOf(site), nil} },
		"operateOutlet": func(site string) asked {
			return asked{"/pcus/" + pcu(site) + "/operate", object{"operation": "cycle", "outlet": 3, "reason": "x"}}
		},
		"pauseRollout":  fixed("/rollouts/new-image/pause", why),
		"resumeRollout": fixed("/rollouts/new-image/resume", why),
		"cancelRollout": fixed("/rollouts/new-image/cancel", why),
		"retryRollout":  fixed("/rollouts/new-image/retry", why),

		"readPLC":    fixed("/plc/nodes", nil),
		"listGroups": fixed("/nodegroups", nil),
		"getGroup":   fixed("/nodegroups/alpha", nil),
		"planGroup":  fixed("/nodegroups/alpha/plan", object{"hosts": []string{nodeOf(mine)}}),
		"changeGroup": func(site string) asked {
			return asked{"/nodegroups/alpha/change", object{"host": nodeOf(site), "tag": "deployment", "value": "alpha", "was": "", "reason": "x"}}
		},

		"getSweep":     fixed("/sweeps/sweep/run", nil),
		"getSelf":      fixed("/self", nil),
		"getStatus":    fixed("/status", nil),
		"getControls":  fixed("/controls", nil),
		"getAgenda":    func(site string) asked { return asked{"/agenda?site=" + site, nil} },
		"listSilences": fixed("/silences", nil),
		"listNodes":    fixed("/nodes", nil),
		"listSites":    fixed("/sites", nil),
		"listPCUs":     fixed("/pcus", nil),
		"listIssues":   fixed("/issues", nil),
		"listLedger":   fixed("/ledger", nil),
		"listHistory":  fixed("/history", nil),
		"listFindings": fixed("/lint", nil),
		"streamEvents": fixed("/events", nil),
		"listTokens":   fixed("/tokens", nil),
		"getNode":      func(site string) asked { return asked{"/nodes/" + nodeOf(site), nil} },
		"getSite":      func(site string) asked { return asked{"/sites/" + site, nil} },
		"getIssue":     func(site string) asked { return asked{"/issues/nodedown/" + nodeOf(site), nil} },
		"explain":      func(site string) asked { return asked{"/explain?target=" + nodeOf(site), nil} },
		"whyNot":       func(site string) asked { return asked{"/why-not?act=reboot&target=" + nodeOf(site), nil} },

		"openIssue": func(site string) asked {
			return asked{"/issues", object{"type": "nodedown", "target": nodeOf(site), "reason": "x"}}
		},
		"pauseIssue":  issue("pause"),
		"resumeIssue": issue("resume"),
		"closeIssue":  issue("close"),
		"skipIssue":   issue("skip"),
		"vetoIssue":   issue("veto", "step", 1),
		"allowIssue":  issue("allow", "step", 1),
		"pledgeIssue": issue("pledge", "until", tomorrow()),

		"silence": func(site string) asked {
			return asked{"/silences", object{"target": nodeOf(site), "until": tomorrow(), "reason": "x"}}
		},
		"unsilence":     func(site string) asked { return asked{"/silences/node/" + nodeOf(site), nil} },
		"pauseSite":     func(site string) asked { return asked{"/sites/" + site + "/pause", why} },
		"resumeSite":    func(site string) asked { return asked{"/sites/" + site + "/resume", why} },
		"setSiteMode":   func(site string) asked { return asked{"/sites/" + site + "/mode", object{"mode": "observe"}} },
		"forgetPCU":     func(site string) asked { return asked{"/pcus/" + pcu(site) + "/forget", why} },
		"lookAtNode":    func(site string) asked { return asked{"/nodes/" + nodeOf(site) + "/look", nil} },
		"rebootNode":    func(site string) asked { return asked{"/nodes/" + nodeOf(site) + "/reboot", why} },
		"reinstallNode": func(site string) asked { return asked{"/nodes/" + nodeOf(site) + "/reinstall", why} },
		"bootstateNode": func(site string) asked {
			return asked{"/nodes/" + nodeOf(site) + "/bootstate", object{"reason": "x", "state": "boot"}}
		},
		"getNodeRequest": func(site string) asked { return asked{"/nodes/" + nodeOf(site) + "/request", nil} },
		"cancelNode":     func(site string) asked { return asked{"/nodes/" + nodeOf(site) + "/cancel", why} },
		"setPenalty": func(site string) asked {
			return asked{"/sites/" + site + "/penalty", object{"reason": "x", "level": 0}}
		},
		"endPenalty": func(site string) asked { return asked{"/sites/" + site + "/penalty?reason=x", nil} },
		"exempt": func(site string) asked {
			return asked{"/exemptions", object{"kind": "node", "target": nodeOf(site), "reason": "x"}}
		},
		"endExemption": func(site string) asked { return asked{"/exemptions/node/" + nodeOf(site), nil} },
		"stop":         fixed("/stop", why),
		"start":        fixed("/start", why),
		"setFleetMode": fixed("/mode", object{"mode": "observe"}),
		"sweep":        fixed("/sweeps", why),
		"believe":      fixed("/sweeps/believed", why),
		"teach":        fixed("/sequences/bminit-cfg-auth-done", object{"action": "none"}),
		"addToken": fixed("/tokens", object{"name": "new", "role": "viewer", "sites": []string{"*"},
			"expires": tomorrow()}),
		"revokeToken": fixed("/tokens/nosuch", nil),
	}
}

// operation is a line of the document.
type operation struct {
	id, method string
	verb       access.Verb
}

func documented(t *testing.T) (all []operation) {
	t.Helper()
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			ID   string      `json:"operationId"`
			Verb access.Verb `json:"x-verb"`
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range doc.Paths {
		for method, o := range path {
			all = append(all, operation{o.ID, strings.ToUpper(method), o.Verb})
		}
	}
	return all
}

// scopes says where the table asks for a verb's role to hold.
func scopes() map[access.Verb]access.Scope {
	by := map[access.Verb]access.Scope{}
	for _, r := range access.Verbs() {
		by[r.Verb] = r.Scope
	}
	return by
}

func TestEveryRoleMayDoOverTheAPIExactlyWhatTheTableSays(t *testing.T) {
	s := serveAPI(t)
	people := map[string]access.Who{
		"viewer":           {Role: access.Viewer, Sites: []string{access.AllSites}},
		"user of mine":     {Role: access.Viewer, Sites: []string{mine}},
		"tech of mine":     {Role: access.Site, Sites: []string{mine}},
		"operator":         {Role: access.Operator, Sites: []string{access.AllSites}},
		"operator of mine": {Role: access.Operator, Sites: []string{mine}},
		"admin":            {Role: access.Admin, Sites: []string{access.AllSites}},
	}
	tokens := map[string]string{}
	for name, who := range people {
		tokens[name] = s.token(name, who.Role, who.Sites...)
	}
	for _, site := range []string{mine, foreign} { // for what ends that
		s.must(s.db.AddBlacklist(t.Context(), store.BlacklistEntry{Kind: "node", Target: nodeOf(site), Starts: now()}))
	}
	for _, site := range []string{mine, foreign} { // for what ends that
		_, err := orders.Desk{Store: s.db}.Penalty(t.Context(), orders.Order{Reason: "x", Who: access.Who{Account: "root",
			Role: access.Admin, Sites: []string{access.AllSites}}}, site, 0, time.Time{})
		if orders.KindOf(err) == orders.Forbidden {
			t.Fatal(err)
		}
	}
	before := len(s.orders())
	all := requests()
	for _, o := range documented(t) {
		make, known := all[o.id]
		if !known {
			t.Errorf("the matrix does not know %s", o.id)
			continue
		}
		scope := scopes()[o.verb]
		if scope == "" {
			t.Errorf("%s is of the verb %q, which is in no table", o.id, o.verb)
		}
		for name, who := range people {
			for _, site := range []string{mine, foreign} {
				r := make(site)
				listed := strings.HasPrefix(o.id, "list") || o.id == "streamEvents" // what is in it, the next test reads
				where := site
				if scope != access.AtSite {
					where = ""
				}
				may := access.Allowed(who, o.verb, where) || listed && mayAtAll(who, o.verb) == nil
				status := s.status(tokens[name], o, r, may)
				for range 20 { // so many requests a second of one account are too many
					if status != http.StatusTooManyRequests {
						break
					}
					time.Sleep(time.Second / 10)
					status = s.status(tokens[name], o, r, may)
				}
				if refused := status == http.StatusForbidden; refused == may || status == http.StatusUnauthorized {
					t.Errorf("%s of a %s at %s: status %d, and the table says %t", o.id, name, site, status, may)
				}
			}
		}
		for name, token := range map[string]string{"nobody": "", "a wrong token": "monitor_aaaaaaaa_" + strings.Repeat("a", 32)} {
			if name == "nobody" || o.id == "getSelf" { // which may be tried a few times only
				if status := s.status(token, o, make(mine), false); status != http.StatusUnauthorized {
					t.Errorf("%s of %s: status %d", o.id, name, status)
				}
			}
		}
	}
	if now := len(s.orders()); now != before {
		t.Errorf("%d orders were given, by whom they were refused", now-before)
	}
}

// status asks an operation. Whoever may order something only says so.
func (s *served) status(token string, o operation, r asked, may bool) int {
	s.t.Helper()
	path := r.path
	if may && o.method != http.MethodGet {
		mark := "?"
		if strings.Contains(path, "?") {
			mark = "&"
		}
		path += mark + "dryRun=true"
	}
	if o.id == "streamEvents" { // which would not end
		return s.head(token, path)
	}
	return s.ask(token, o.method, path, r.body).status
}

func TestListsShowOnlyWhatIsOfOnesOwnSites(t *testing.T) {
	s := serveAPI(t)
	for _, site := range []string{mine, foreign} {
		s.must(s.db.AddBlacklist(t.Context(), store.BlacklistEntry{Kind: "node", Target: nodeOf(site), Starts: now()}))
	}
	for _, e := range []store.BlacklistEntry{{Kind: store.OfSlice, Target: mine + "_codeen"}, {Kind: store.OfSlice, Target: foreign + "_codeen"},
		{Kind: store.OfPerson, Target: "tech@" + mine + ".example"}} {
		e.Starts = now()
		s.must(s.db.AddBlacklist(t.Context(), e))
	}
	s.sql(`update node set boot_state = 'disabled'`)
	s.sql(`insert into history (at, kind, target, was, became, reason) select now(), 'node', hostname, '', 'good', '' from node`)
	tech, all := s.token("tech", access.Site, mine), s.token("ops", access.Operator, access.AllSites)
	for _, path := range []string{"/nodes", "/sites", "/pcus", "/issues", "/ledger", "/history", "/silences", "/agenda", "/exemptions", "/disabled", "/lint"} {
		whole := s.ask(all, "GET", path, nil).body
		if !strings.Contains(whole, foreign) || !strings.Contains(whole, mine) {
			t.Errorf("%s does not show all to an operator: %s", path, whole)
		}
		part := s.ask(tech, "GET", path, nil).body
		if strings.Contains(part, foreign) || !strings.Contains(part, mine) {
			t.Errorf("%s shows a tech of %s: %s", path, mine, part)
		}
	}
	if body := s.ask(tech, "GET", "/ledger", nil).body; strings.Contains(body, "guard") {
		t.Errorf("a tech reads of the fleet: %s", body)
	}
	t.Run("who is not written to, only those read who read mail", func(t *testing.T) {
		user := s.token("wall", access.Viewer, access.AllSites)
		for _, path := range []string{"/silences", "/exemptions"} {
			if body := s.ask(all, "GET", path, nil).body; !strings.Contains(body, "tech@") {
				t.Errorf("%s tells an operator no person: %s", path, body)
			}
			for name, token := range map[string]string{"viewer": user, "tech": tech} {
				if body := s.ask(token, "GET", path, nil).body; strings.Contains(body, "tech@") || !strings.Contains(body, mine+"_codeen") {
					t.Errorf("%s tells a %s %s", path, name, body)
				}
			}
		}
	})
	t.Run("what is foreign and what is not there look alike", func(t *testing.T) {
		for _, pair := range [][2]string{
			{"/nodes/" + nodeOf(foreign), "/nodes/nobody.example"},
			{"/sites/" + foreign, "/sites/nowhere"},
			{"/issues/nodedown/" + nodeOf(foreign), "/issues/nodedown/nobody.example"},
			{"/explain?target=" + foreign, "/explain?target=nowhere"},
			{"/why-not?act=reboot&target=" + nodeOf(foreign), "/why-not?act=reboot&target=nobody.example"},
			{"/outlets?target=" + nodeOf(foreign), "/outlets?target=nobody.example"},
			{"/nodes/" + nodeOf(foreign) + "/request", "/nodes/nobody.example/request"},
			{"/agenda?site=" + foreign, "/agenda?site=nowhere"},
		} {
			there, not := s.ask(tech, "GET", pair[0], nil), s.ask(tech, "GET", pair[1], nil)
			if there.status != http.StatusForbidden || there.body != not.body {
				t.Errorf("%s: %+v, and %+v", pair[0], there, not)
			}
		}
	})
	t.Run("a viewer reads no ledger, not in a node or issue either", func(t *testing.T) {
		viewer := s.token("viewer", access.Viewer, access.AllSites)
		for _, path := range []string{"/nodes/" + nodeOf(mine), "/sites/" + mine, "/issues/nodedown/" + nodeOf(mine),
			"/explain?target=" + nodeOf(mine)} {
			if g := s.ask(viewer, "GET", path, nil); g.status != 200 || strings.Contains(g.body, "reboot of") {
				t.Errorf("%s: %+v", path, g)
			}
			if g := s.ask(all, "GET", path, nil); !strings.Contains(g.body, "reboot of") {
				t.Errorf("%s tells an operator nothing of the ledger: %+v", path, g)
			}
		}
	})
}
