package store

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/plc"
)

// Bounds of what is taken from PLC. Its own are lower: 32 for a login_base, 255 for a hostname, 254 for an address of
// mail.
const (
	longestName = 255
	longestText = 1000
)

// intake is a snapshot in the form of rows. What does not fit costs its own row and no other: that one is kept as it
// stands, and odd says why.
type intake struct {
	taken   time.Time
	from    string // PLC, or the inventory
	sites   map[int]siteRow
	nodes   map[int]nodeRow
	pcus    map[int]pcuRow
	persons map[personKey]personRow
	kept    map[string]map[int]bool // rows of which nothing new is known, by kind and id
	odd     []string

	logins  map[int]string    // site_id to login_base, also of sites that are kept
	renames map[string]string // login_base of sites, before and after
}

func takeIn(snap plc.Snapshot, stood *standing) *intake {
	in := &intake{
		taken:   snap.Taken,
		from:    nameOf(snap),
		sites:   map[int]siteRow{},
		nodes:   map[int]nodeRow{},
		pcus:    map[int]pcuRow{},
		persons: map[personKey]personRow{},
		kept:    map[string]map[int]bool{"sites": {}, "nodes": {}, "pcus": {}, "persons": {}},
		logins:  map[int]string{},
		renames: map[string]string{},
	}
	for kind, ids := range snap.Unsent {
		for _, id := range ids {
			if in.kept[kind] != nil && fitsInt(id) {
				in.kept[kind][id] = true
			}
		}
	}
	for id, s := range stood.sites {
		if !s.gone {
			in.logins[id] = s.row.login
		}
	}
	in.takeSites(snap, stood)
	in.takeNodes(snap, stood)
	in.takePCUs(snap, stood)
	in.takePersons(snap)
	return in
}

// refuse keeps a row as it stands.
func (in *intake) refuse(kind string, id int, why string, args ...any) {
	if fitsInt(id) {
		in.kept[kind][id] = true
	}
	in.odd = append(in.odd, fmt.Sprintf("%s %d: ", kind, id)+fmt.Sprintf(why, args...))
}

// identity says what is wrong with a name by which things are known. It is refused rather than mended: mended it would
// be another's.
func identity(name string) string {
	switch {
	case name == "":
		return "it has no name"
	case len(name) > longestName:
		return fmt.Sprintf("its name has %d characters", len(name))
	case strings.ContainsFunc(name, unicode.IsControl) || !clean.Is(name, longestName):
		return fmt.Sprintf("its name is %q", name)
	}
	return ""
}

// machineName is identity for what workflows are named after: Temporal's client sends a workflow's id in a header, which takes
// printable ASCII and nothing else, so that an issue about any other name could not even be started.
func machineName(name string) string {
	wrong := identity(name)
	if wrong == "" && strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
		wrong = fmt.Sprintf("its name is %+q, and names of machines and sites are ASCII", name)
	}
	return wrong
}

// text mends what only describes: Postgres takes no NUL and nothing that is not UTF-8, terminals obey controls, and
// nobody reads a novel.
func (in *intake) text(kind string, id int, field, v string) string {
	kept := clean.Bounded(v, longestText)
	if kept != v {
		in.odd = append(in.odd, fmt.Sprintf("%s %d: %s is kept without what cannot be stored of it", kind, id, field))
	}
	return kept
}

// when mends times: what lies outside of all reason is none.
func (in *intake) when(kind string, id int, field string, t time.Time) stamp {
	if !t.IsZero() && (t.Year() < 1970 || t.Year() > 9999) {
		in.odd = append(in.odd, fmt.Sprintf("%s %d: %s is no time", kind, id, field))
		return 0
	}
	return stampOf(&t)
}

func fitsInt(n int) bool { return n > 0 && n <= math.MaxInt32 }

// claimName notes that a row has a name. Of two with one name the one that had it before is right, or else the first.
func claimName[R any](
	in *intake, kind string, id int, name string, holders map[string]int, rows map[int]R, hadIt bool,
) bool {
	other, taken := holders[name]
	switch {
	case !taken:
	case hadIt:
		delete(rows, other)
		in.refuse(kind, other, "%s %d has its name %s, too", kind, id, name)
	default:
		in.refuse(kind, id, "%s %d has its name %s, too", kind, other, name)
		return false
	}
	holders[name] = id
	return true
}

func (in *intake) takeSites(snap plc.Snapshot, stood *standing) {
	holders := map[string]int{}
	for _, x := range snap.Sites {
		id := x.SiteID
		if !fitsInt(id) {
			in.refuse("sites", id, "it has no proper id")
		} else if wrong := machineName(x.LoginBase); wrong != "" {
			in.refuse("sites", id, "%s", wrong)
		} else if _, twice := in.sites[id]; twice {
			in.odd = append(in.odd, fmt.Sprintf("sites %d: it came twice", id))
		} else if claimName(in, "sites", id, x.LoginBase, holders, in.sites, stood.hadLogin(id, x.LoginBase)) {
			in.sites[id] = siteRow{
				login:   x.LoginBase,
				name:    in.text("sites", id, "name", x.Name),
				enabled: x.Enabled,
				pending: x.Pending,
				created: in.when("sites", id, "date_created", x.DateCreated),
				exempt:  in.when("sites", id, "exempt_site_until", snap.SiteExempt[id]),
			}
			if p := x.Place; p != nil {
				r := in.sites[id]
				r.place = placeOf(&p.Latitude, &p.Longitude)
				in.sites[id] = r
			}
		}
	}
	for id, r := range in.sites {
		in.logins[id] = r.login
		if was := stood.sites[id]; was != nil && was.row.login != r.login {
			in.renames[was.row.login] = r.login
		}
	}
}

func (in *intake) takeNodes(snap plc.Snapshot, stood *standing) {
	ips, primary := addresses(snap)
	holders := map[string]int{}
	for _, x := range snap.Nodes {
		id := x.NodeID
		site, known := in.logins[x.SiteID]
		if !fitsInt(id) {
			in.refuse("nodes", id, "it has no proper id")
		} else if wrong := machineName(x.Hostname); wrong != "" {
			in.refuse("nodes", id, "%s", wrong)
		} else if _, twice := in.nodes[id]; twice {
			in.odd = append(in.odd, fmt.Sprintf("nodes %d: it came twice", id))
		} else if !known {
			in.refuse("nodes", id, "its site %d is not known", x.SiteID)
		} else if claimName(in, "nodes", id, x.Hostname, holders, in.nodes, stood.hadHost(id, x.Hostname)) {
			n := in.node(x, snap.NodeExempt[id])
			n.site, n.ip, n.noPrimary = site, in.text("nodes", id, "ip", ips[id]), !primary[id]
			if len(snap.Unsent["interfaces"]) > 0 { // one that could not be sent may be its own
				was := stood.nodes[id]
				if n.ip == "" && was != nil {
					n.ip = was.row.ip
				}
				n.noPrimary = n.noPrimary && was != nil && was.row.noPrimary
			}
			if was := stood.nodes[id]; snap.NodeGroups != nil {
				n.groups = in.groups(id, snap.NodeGroups[id])
			} else if was != nil {
				n.groups = was.row.groups
			}
			in.nodes[id] = n
		}
	}
}

// mostGroups is above any number of groups that one node is in.
const mostGroups = 100

// groups are the names of a node's groups, a line each.
func (in *intake) groups(id int, names []string) string {
	var kept []string
	for _, name := range names[:min(len(names), mostGroups)] {
		if name = clean.Line(in.text("nodes", id, "group", name)); name != "" {
			kept = append(kept, name)
		}
	}
	slices.Sort(kept)
	return strings.Join(slices.Compact(kept), "\n")
}

// addresses are the nodes' ips, of the primary interface where there is one, and which nodes have one.
func addresses(snap plc.Snapshot) (ips map[int]string, primary map[int]bool) {
	ips, primary = map[int]string{}, map[int]bool{}
	for _, i := range snap.Interfaces {
		if i.Primary || ips[i.NodeID] == "" {
			ips[i.NodeID] = i.IP
		}
		primary[i.NodeID] = primary[i.NodeID] || i.Primary
	}
	return ips, primary
}

func (in *intake) node(x plc.Node, exempt time.Time) nodeRow {
	id := x.NodeID
	text := func(field, v string) string { return in.text("nodes", id, field, v) }
	when := func(field string, t time.Time) stamp { return in.when("nodes", id, field, t) }
	r := nodeRow{
		host:            x.Hostname,
		bootState:       text("boot_state", x.BootState),
		runLevel:        text("run_level", x.RunLevel),
		model:           text("model", x.Model),
		contact:         when("last_contact", x.LastContact),
		boot:            when("last_boot", x.LastBoot),
		download:        when("last_download", x.LastDownload),
		pcuReboot:       when("last_pcu_reboot", x.LastPCUReboot),
		pcuConfirmation: when("last_pcu_confirmation", x.LastPCUConfirmation),
		exempt:          when("exempt_node_until", exempt),
	}
	feeds, odd := FeedsOf(x)
	in.odd = append(in.odd, odd...)
	if r.feeds = feedsText(feeds); len(feeds) > 0 {
		r.first = feeds[0]
	}
	return r
}

// FeedsOf pairs a node's PCUs with the ports at the same place. What cannot be an outlet is left out, and named.
func FeedsOf(x plc.Node) (feeds []Feed, odd []string) {
	for i := range min(len(x.PCUIDs), len(x.Ports)) {
		f := Feed{x.PCUIDs[i], x.Ports[i]}
		if !fitsInt(f.PCUID) || f.Outlet < 0 || f.Outlet > math.MaxInt32 {
			odd = append(odd, fmt.Sprintf("nodes %d: outlet %d of PCU %d is none", x.NodeID, f.Outlet, f.PCUID))
		} else if !slices.Contains(feeds, f) {
			feeds = append(feeds, f)
		}
	}
	return feeds, odd
}

func (in *intake) takePCUs(snap plc.Snapshot, stood *standing) {
	list := slices.Clone(snap.PCUs)
	for id, p := range stood.pcus { // one that is missing for now still has its name
		if !p.gone && !slices.ContainsFunc(snap.PCUs, func(x plc.PCU) bool { return x.PCUID == id }) {
			list = append(list, plc.PCU{PCUID: id, Hostname: p.row.host, IP: p.row.ip})
		}
	}
	names := pcuNames(list)
	for _, x := range snap.PCUs {
		id := x.PCUID
		site, known := in.logins[x.SiteID]
		if !fitsInt(id) {
			in.refuse("pcus", id, "it has no proper id")
		} else if _, twice := in.pcus[id]; twice {
			in.odd = append(in.odd, fmt.Sprintf("pcus %d: it came twice", id))
		} else if wrong := machineName(cmp.Or(names[id], "-")); wrong != "" {
			in.refuse("pcus", id, "%s", wrong)
		} else if !known {
			in.refuse("pcus", id, "its site %d is not known", x.SiteID)
		} else {
			text := func(field, v string) string { return in.text("pcus", id, field, v) }
			in.pcus[id] = pcuRow{
				name:     names[id],
				site:     site,
				host:     text("hostname", x.Hostname),
				ip:       text("ip", x.IP),
				user:     text("username", x.Username),
				model:    text("model", x.Model),
				password: x.Password.Reveal(),
			}
		}
	}
}

// takePersons makes a row for each site of a person. People of no site of ours are nobody to write to.
func (in *intake) takePersons(snap plc.Snapshot) {
	for _, x := range snap.Persons {
		id := x.PersonID
		if !fitsInt(id) {
			in.refuse("persons", id, "it has no proper id")
			continue
		}
		if wrong := identity(x.Email); wrong != "" {
			in.refuse("persons", id, "%s", wrong)
			continue
		}
		row := personRow{email: x.Email, exempt: in.when("persons", id, "exempt_person_until", snap.PersonExempt[id])}
		row.roles = in.text("persons", id, "roles", strings.Join(x.Roles, ","))
		for _, site := range x.SiteIDs {
			if login, known := in.logins[site]; known {
				in.persons[personKey{id, login}] = row
			}
		}
	}
}
