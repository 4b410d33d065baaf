package policy

import (
	"testing"
	"time"
)

const day = 24 * time.Hour

var (
	numbers = Defaults(day)
	now     = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

func ago(days float64) time.Time { return now.Add(-time.Duration(days * float64(day))) }

// just is the least time that makes an age pass, or not pass, its threshold.
const just = time.Nanosecond

func TestANodeChangesItsStatus(t *testing.T) {
	long := 5 * day
	for name, c := range map[string]struct {
		was  NodeRecord
		seen NodeSeen
		want NodeRecord
	}{
		"a new node that is down starts offline":     {NodeRecord{}, NodeSeen{State: Down}, NodeRecord{Offline, now}},
		"a new node that runs is online":             {NodeRecord{}, NodeSeen{State: Boot}, NodeRecord{Online, now}},
		"a new node in debug mode is failboot":       {NodeRecord{}, NodeSeen{State: Debug}, NodeRecord{Failboot, now}},
		"a new node that PLC has disabled and down":  {NodeRecord{}, NodeSeen{State: Down, BootState: "disabled"}, NodeRecord{Disabled, now}},
		"a new node long up is good since it booted": {NodeRecord{}, NodeSeen{State: Boot, Uptime: long}, NodeRecord{IsGood, ago(5)}},

		"online and silent becomes offline":          {NodeRecord{Online, ago(0.1)}, NodeSeen{State: Down}, NodeRecord{Offline, now}},
		"good and silent becomes offline":            {NodeRecord{IsGood, ago(90)}, NodeSeen{State: Down}, NodeRecord{Offline, now}},
		"failboot and silent becomes offline":        {NodeRecord{Failboot, ago(3)}, NodeSeen{State: Down}, NodeRecord{Offline, now}},
		"safeboot and silent becomes offline":        {NodeRecord{Safeboot, ago(3)}, NodeSeen{State: Down}, NodeRecord{Offline, now}},
		"offline and silent stays so since then":     {NodeRecord{Offline, ago(1)}, NodeSeen{State: Down}, NodeRecord{Offline, ago(1)}},
		"down and silent stays so since then":        {NodeRecord{IsDown, ago(9)}, NodeSeen{State: Down}, NodeRecord{IsDown, ago(9)}},
		"disabled and silent stays so since then":    {NodeRecord{Disabled, ago(9)}, NodeSeen{State: Down}, NodeRecord{Disabled, ago(9)}},
		"disabled stays so when PLC says boot again": {NodeRecord{Disabled, ago(9)}, NodeSeen{State: Down, BootState: "boot"}, NodeRecord{Disabled, ago(9)}},

		"silent and disabled in PLC is disabled":             {NodeRecord{IsGood, ago(9)}, NodeSeen{State: Down, BootState: "disabled"}, NodeRecord{Disabled, now}},
		"offline and disabled in PLC is disabled":            {NodeRecord{Offline, ago(1)}, NodeSeen{State: Down, BootState: "disabled"}, NodeRecord{Disabled, now}},
		"down and disabled in PLC is disabled":               {NodeRecord{IsDown, ago(9)}, NodeSeen{State: Down, BootState: "disabled"}, NodeRecord{Disabled, now}},
		"the old name disable means disabled":                {NodeRecord{Online, ago(1)}, NodeSeen{State: Down, BootState: "disable"}, NodeRecord{Disabled, now}},
		"disabled in PLC counts just before 60 d":            {NodeRecord{IsDown, ago(60).Add(just)}, NodeSeen{State: Down, BootState: "disabled"}, NodeRecord{Disabled, now}},
		"disabled in PLC no longer counts at 60 d":           {NodeRecord{IsDown, ago(60)}, NodeSeen{State: Down, BootState: "disabled"}, NodeRecord{IsDown, ago(60)}},
		"good for 60 d, disabled in PLC and silent: offline": {NodeRecord{IsGood, ago(60)}, NodeSeen{State: Down, BootState: "disabled"}, NodeRecord{Offline, now}},
		"a running node that PLC disables stays good":        {NodeRecord{IsGood, ago(9)}, NodeSeen{State: Boot, BootState: "disabled"}, NodeRecord{IsGood, ago(9)}},

		"good and in debug mode is failboot":             {NodeRecord{IsGood, ago(9)}, NodeSeen{State: Debug, BootState: "boot"}, NodeRecord{Failboot, now}},
		"offline and in debug mode is failboot":          {NodeRecord{Offline, ago(1)}, NodeSeen{State: Debug, BootState: "boot"}, NodeRecord{Failboot, now}},
		"down and in debug mode is failboot":             {NodeRecord{IsDown, ago(9)}, NodeSeen{State: Debug, BootState: "reinstall"}, NodeRecord{Failboot, now}},
		"disabled and in debug mode, PLC says boot":      {NodeRecord{Disabled, ago(9)}, NodeSeen{State: Debug, BootState: "boot"}, NodeRecord{Failboot, now}},
		"failboot stays so since then":                   {NodeRecord{Failboot, ago(3)}, NodeSeen{State: Debug, BootState: "boot"}, NodeRecord{Failboot, ago(3)}},
		"in debug mode and disabled in PLC is disabled":  {NodeRecord{Failboot, ago(3)}, NodeSeen{State: Debug, BootState: "disabled"}, NodeRecord{Disabled, now}},
		"in debug mode and safeboot in PLC is safeboot":  {NodeRecord{Online, ago(3)}, NodeSeen{State: Debug, BootState: "safeboot"}, NodeRecord{Safeboot, now}},
		"the old name diag means safeboot":               {NodeRecord{Online, ago(3)}, NodeSeen{State: Debug, BootState: "diag"}, NodeRecord{Safeboot, now}},
		"the old name diagnose means safeboot":           {NodeRecord{Online, ago(3)}, NodeSeen{State: Debug, BootState: "diagnose"}, NodeRecord{Safeboot, now}},
		"the old name dbg means failboot":                {NodeRecord{Online, ago(3)}, NodeSeen{State: Debug, BootState: "dbg"}, NodeRecord{Failboot, now}},
		"disabled in PLC for ever keeps debug disabled":  {NodeRecord{Disabled, ago(59)}, NodeSeen{State: Debug, BootState: "disabled"}, NodeRecord{Disabled, ago(59)}},
		"safeboot stays so while PLC asks, before 60 d":  {NodeRecord{Safeboot, ago(60).Add(just)}, NodeSeen{State: Debug, BootState: "safeboot"}, NodeRecord{Safeboot, ago(60).Add(just)}},
		"safeboot is failboot at 60 d, its time anew":    {NodeRecord{Safeboot, ago(60)}, NodeSeen{State: Debug, BootState: "safeboot"}, NodeRecord{Failboot, now}},
		"failboot is not down just before 30 d":          {NodeRecord{Failboot, ago(30).Add(just)}, NodeSeen{State: Debug}, NodeRecord{Failboot, ago(30).Add(just)}},
		"failboot is down at 30 d, its time kept":        {NodeRecord{Failboot, ago(30)}, NodeSeen{State: Debug}, NodeRecord{IsDown, ago(30)}},
		"offline that answers is online":                 {NodeRecord{Offline, ago(1)}, NodeSeen{State: Boot, Uptime: time.Hour}, NodeRecord{Online, now}},
		"down that answers is online":                    {NodeRecord{IsDown, ago(9)}, NodeSeen{State: Boot, Uptime: time.Hour}, NodeRecord{Online, now}},
		"failboot that boots is online":                  {NodeRecord{Failboot, ago(9)}, NodeSeen{State: Boot}, NodeRecord{Online, now}},
		"disabled that boots is online":                  {NodeRecord{Disabled, ago(9)}, NodeSeen{State: Boot}, NodeRecord{Online, now}},
		"an uptime of just over 1 d is good since then":  {NodeRecord{Offline, ago(1)}, NodeSeen{State: Boot, Uptime: day + just}, NodeRecord{IsGood, now.Add(-day - just)}},
		"an uptime of 1 d is not over it":                {NodeRecord{Offline, ago(1)}, NodeSeen{State: Boot, Uptime: day}, NodeRecord{Online, now}},
		"online is not good just before half a day":      {NodeRecord{Online, ago(0.5).Add(just)}, NodeSeen{State: Boot}, NodeRecord{Online, ago(0.5).Add(just)}},
		"online is good at half a day, its time kept":    {NodeRecord{Online, ago(0.5)}, NodeSeen{State: Boot}, NodeRecord{IsGood, ago(0.5)}},
		"good stays good since then":                     {NodeRecord{IsGood, ago(40)}, NodeSeen{State: Boot, Uptime: long}, NodeRecord{IsGood, ago(40)}},
		"offline is not down just before 2 d":            {NodeRecord{Offline, ago(2).Add(just)}, NodeSeen{State: Down}, NodeRecord{Offline, ago(2).Add(just)}},
		"offline is down at 2 d, its time kept":          {NodeRecord{Offline, ago(2)}, NodeSeen{State: Down}, NodeRecord{IsDown, ago(2)}},
		"disabled is not down just before 60 d":          {NodeRecord{Disabled, ago(60).Add(just)}, NodeSeen{State: Down}, NodeRecord{Disabled, ago(60).Add(just)}},
		"disabled is down at 60 d, its time anew":        {NodeRecord{Disabled, ago(60)}, NodeSeen{State: Down}, NodeRecord{IsDown, now}},
		"never contacted is not down at 2 d":             {NodeRecord{Offline, ago(2)}, NodeSeen{State: Down, NeverContacted: true}, NodeRecord{Offline, ago(2)}},
		"never contacted is not down just before 60 d":   {NodeRecord{Offline, ago(60).Add(just)}, NodeSeen{State: Down, NeverContacted: true}, NodeRecord{Offline, ago(60).Add(just)}},
		"never contacted is down at 60 d, its time anew": {NodeRecord{Offline, ago(60)}, NodeSeen{State: Down, NeverContacted: true}, NodeRecord{IsDown, now}},
		"a look that says nothing changes nothing":       {NodeRecord{IsGood, ago(40)}, NodeSeen{}, NodeRecord{IsGood, ago(40)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, reason := NextNode(numbers, c.was, c.seen, now)
			if got != c.want {
				t.Errorf("%+v seen as %+v becomes %+v, want %+v", c.was, c.seen, got, c.want)
			}
			if reason == "" || (got.Status != c.was.Status && c.was.Status != "" && reason == "as before") {
				t.Errorf("the reason is %q", reason)
			}
		})
	}
}

func TestAPCUChangesItsStatus(t *testing.T) {
	for name, c := range map[string]struct {
		was  PCURecord
		ok   bool
		want PCURecord
	}{
		"a new one that passes is online":           {PCURecord{}, true, PCURecord{Online, now}},
		"a new one that fails is offline":           {PCURecord{}, false, PCURecord{Offline, now}},
		"online that passes stays so":               {PCURecord{Online, ago(0.2)}, true, PCURecord{Online, ago(0.2)}},
		"online is not good just before half a day": {PCURecord{Online, ago(0.5).Add(just)}, true, PCURecord{Online, ago(0.5).Add(just)}},
		"online is good at half a day":              {PCURecord{Online, ago(0.5)}, true, PCURecord{IsGood, ago(0.5)}},
		"good that fails is offline":                {PCURecord{IsGood, ago(9)}, false, PCURecord{Offline, now}},
		"online that fails is offline":              {PCURecord{Online, ago(0.1)}, false, PCURecord{Offline, now}},
		"offline is not down just before 2 d":       {PCURecord{Offline, ago(2).Add(just)}, false, PCURecord{Offline, ago(2).Add(just)}},
		"offline is down at 2 d":                    {PCURecord{Offline, ago(2)}, false, PCURecord{IsDown, ago(2)}},
		"offline that passes is online":             {PCURecord{Offline, ago(1)}, true, PCURecord{Online, now}},
		"down that passes is online":                {PCURecord{IsDown, ago(9)}, true, PCURecord{Online, now}},
		"down that fails stays down":                {PCURecord{IsDown, ago(9)}, false, PCURecord{IsDown, ago(9)}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, reason := NextPCU(numbers, c.was, c.ok, now); got != c.want || reason == "" {
				t.Errorf("becomes %+v (%q), want %+v", got, reason, c.want)
			}
		})
	}
}

func TestASiteChangesItsStatus(t *testing.T) {
	old := ago(300)
	for name, c := range map[string]struct {
		was     SiteRecord
		up      int
		created time.Time
		want    SiteRecord
	}{
		"two nodes are enough":                           {SiteRecord{}, 2, old, SiteRecord{Online, now}},
		"one node is not":                                {SiteRecord{}, 1, old, SiteRecord{Offline, now}},
		"online is not good just before half a day":      {SiteRecord{Online, ago(0.5).Add(just)}, 2, old, SiteRecord{Online, ago(0.5).Add(just)}},
		"online is good at half a day":                   {SiteRecord{Online, ago(0.5)}, 5, old, SiteRecord{IsGood, ago(0.5)}},
		"good that loses a node too many is offline":     {SiteRecord{IsGood, ago(9)}, 1, old, SiteRecord{Offline, now}},
		"offline is not down just before half a day":     {SiteRecord{Offline, ago(0.5).Add(just)}, 0, old, SiteRecord{Offline, ago(0.5).Add(just)}},
		"offline is down at half a day":                  {SiteRecord{Offline, ago(0.5)}, 0, old, SiteRecord{IsDown, ago(0.5)}},
		"down with enough nodes is online":               {SiteRecord{IsDown, ago(9)}, 2, old, SiteRecord{Online, now}},
		"a young site that was never online is new":      {SiteRecord{}, 0, ago(1), SiteRecord{New, now}},
		"it stays new just before 30 d":                  {SiteRecord{New, ago(29)}, 1, ago(30).Add(just), SiteRecord{New, ago(29)}},
		"it is offline at 30 d":                          {SiteRecord{New, ago(30)}, 1, ago(30), SiteRecord{Offline, now}},
		"a new site with enough nodes is online":         {SiteRecord{New, ago(3)}, 2, ago(3), SiteRecord{Online, now}},
		"a young site that was online before is not new": {SiteRecord{IsGood, ago(3)}, 0, ago(10), SiteRecord{Offline, now}},
		"a young site that went offline may become down": {SiteRecord{Offline, ago(1)}, 0, ago(10), SiteRecord{IsDown, ago(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, reason := NextSite(numbers, c.was, c.up, c.created, now); got != c.want || reason == "" {
				t.Errorf("becomes %+v (%q), want %+v", got, reason, c.want)
			}
		})
	}
}

func TestBootStatesAreSpokenWithTheirNamesOfToday(t *testing.T) {
	for old, want := range map[string]string{
		"diag": "safeboot", "diagnose": "safeboot", "rins": "reinstall", "disable": "disabled", "dbg": "failboot",
		"boot": "boot", "safeboot": "safeboot", "reinstall": "reinstall", "disabled": "disabled", "failboot": "failboot", "": "",
	} {
		if got := CleanBootState(old); got != want {
			t.Errorf("%q is %q, want %q", old, got, want)
		}
	}
}
