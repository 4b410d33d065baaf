package policy

import (
	"strings"
	"testing"
	"time"
)

func TestWhatForbidsMonitorToAct(t *testing.T) {
	for name, c := range map[string]struct {
		f     MayActFacts
		do    bool
		until time.Time
		says  string
	}{
		"nothing":                        {MayActFacts{}, true, time.Time{}, "nothing"},
		"a node exempt for a day more":   {MayActFacts{NodeExemptUntil: ago(-1)}, false, ago(-1), "node is exempt in PLC until 2026-11-25"},
		"a node whose exemption is over": {MayActFacts{NodeExemptUntil: now}, true, time.Time{}, "nothing"},
		"a site exempt for a day more":   {MayActFacts{SiteExemptUntil: ago(-1)}, false, ago(-1), "site is exempt in PLC until 2026-11-25"},
		"a site whose exemption is over": {MayActFacts{SiteExemptUntil: ago(1)}, true, time.Time{}, "nothing"},
		"the blacklist, for ever":        {MayActFacts{Blacklisted: true, BlacklistReason: "new board"}, false, time.Time{}, "blacklisted: new board"},
		"the blacklist, for a day more":  {MayActFacts{Blacklisted: true, BlacklistUntil: ago(-1)}, false, ago(-1), "blacklisted"},
		"a downtime":                     {MayActFacts{Blacklisted: true, Downtime: true, BlacklistUntil: ago(-1), BlacklistReason: "moving"}, false, ago(-1), "in a downtime: moving"},
	} {
		t.Run(name, func(t *testing.T) {
			if d := MayAct(c.f, now); d.Do != c.do || !d.Until.Equal(c.until) || !strings.Contains(d.Reason, c.says) {
				t.Errorf("is %+v", d)
			}
		})
	}
}

func TestWhenANodeMayBePowerCycled(t *testing.T) {
	small := numbers
	small.Budget = Budget{RebootsFleet: 3, RebootsSite: 2, ReinstallsFleet: 2, ReinstallsSite: 1, PenaltiesFleet: 1, PenaltiesSite: 1}
	hour := now.Add(time.Hour)
	for name, c := range map[string]struct {
		may    func(Policy, []time.Time, Spent, time.Time) Decision
		recent []time.Time
		spent  Spent
		do     bool
		until  time.Time
	}{
		"reboot: never before":                             {MayReboot, nil, Spent{}, true, time.Time{}},
		"reboot: once this week":                           {MayReboot, []time.Time{ago(1)}, Spent{}, true, time.Time{}},
		"reboot: twice this week, no third":                {MayReboot, []time.Time{ago(1), ago(6)}, Spent{}, false, time.Time{}},
		"reboot: twice, the first just within the week":    {MayReboot, []time.Time{ago(7).Add(just), ago(1)}, Spent{}, false, time.Time{}},
		"reboot: twice, the first a week ago":              {MayReboot, []time.Time{ago(7), ago(1)}, Spent{}, true, time.Time{}},
		"reboot: the fleet's last of this hour":            {MayReboot, nil, Spent{Fleet: 2}, true, time.Time{}},
		"reboot: the fleet's budget is spent":              {MayReboot, nil, Spent{Fleet: 3}, false, hour},
		"reboot: the site's budget is spent":               {MayReboot, nil, Spent{Site: 2}, false, hour},
		"reinstall: once this week":                        {MayReinstall, []time.Time{ago(1)}, Spent{}, true, time.Time{}},
		"reinstall: twice this week, no third power cycle": {MayReinstall, []time.Time{ago(1), ago(2)}, Spent{}, false, time.Time{}},
		"reinstall: the fleet's budget is spent":           {MayReinstall, nil, Spent{Fleet: 2}, false, hour},
		"reinstall: the site's budget is spent":            {MayReinstall, nil, Spent{Site: 1}, false, hour},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.may(small, c.recent, c.spent, now)
			if d.Do != c.do || !d.Until.Equal(c.until) || d.Reason == "" {
				t.Errorf("is %+v", d)
			}
		})
	}
	if d := MayReboot(numbers, []time.Time{ago(1), ago(2)}, Spent{}, now); d.Reason != "power-cycled 2 times within 7 d: likely hardware, not another reboot" {
		t.Errorf("says %q", d.Reason)
	}
}

func TestWhenASiteMayBePenalized(t *testing.T) {
	bad := SiteFacts{Up: 1, Record: Record{StatusDown, ago(8)}, Created: ago(900)}
	for name, c := range map[string]struct {
		change func(*SiteFacts)
		spent  Spent
		do     bool
		until  time.Time
	}{
		"down over 7 d with too few nodes":     {func(*SiteFacts) {}, Spent{}, true, time.Time{}},
		"pending":                              {func(s *SiteFacts) { s.Pending = true }, Spent{}, false, time.Time{}},
		"exempt":                               {func(s *SiteFacts) { s.SiteExemptUntil = ago(-3) }, Spent{}, false, ago(-3)},
		"an exemption that is over":            {func(s *SiteFacts) { s.SiteExemptUntil = ago(3) }, Spent{}, true, time.Time{}},
		"blacklisted":                          {func(s *SiteFacts) { s.Blacklisted = true }, Spent{}, false, time.Time{}},
		"new":                                  {func(s *SiteFacts) { s.Record = Record{StatusNew, ago(8)}; s.Created = ago(8) }, Spent{}, false, ago(-22)},
		"as many nodes up as it needs":         {func(s *SiteFacts) { s.Up = 2 }, Spent{}, false, time.Time{}},
		"no node up":                           {func(s *SiteFacts) { s.Up = 0 }, Spent{}, true, time.Time{}},
		"offline, not down":                    {func(s *SiteFacts) { s.Record.Status = StatusOffline }, Spent{}, false, ago(-0.5)},
		"down just before 7 d":                 {func(s *SiteFacts) { s.Record.Changed = ago(7).Add(just) }, Spent{}, false, now.Add(just)},
		"down for 7 d":                         {func(s *SiteFacts) { s.Record.Changed = ago(7) }, Spent{}, true, time.Time{}},
		"a step just less than 7 d ago":        {func(s *SiteFacts) { s.LastRaise = ago(7).Add(just) }, Spent{}, false, now.Add(just)},
		"a step 7 d ago":                       {func(s *SiteFacts) { s.LastRaise = ago(7) }, Spent{}, true, time.Time{}},
		"the fleet's budget of steps is spent": {func(*SiteFacts) {}, Spent{Fleet: 10}, false, now.Add(time.Hour)},
		"the site's budget of steps is spent":  {func(*SiteFacts) {}, Spent{Site: 1}, false, now.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			s := bad
			c.change(&s)
			if d := MayPenalize(numbers, s, c.spent, now); d.Do != c.do || !d.Until.Equal(c.until) || d.Reason == "" {
				t.Errorf("is %+v", d)
			}
		})
	}
}
