package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Sites, nodes and PCUs are rows by id, and others know them by name. A rename in PLC therefore takes with it what
// was written under the old name: statuses stay in the row, and history, blacklist, notices, ledger and claims follow
// here. What a running workflow has in its memory is its own to mend.
func followers(what string) []string {
	if what == "pcu" { // all else knows it by its id
		return []string{
			`update blacklist set target = $2 where kind = 'pcu' and target = $1
			and not exists (select 1 from blacklist b
				where b.kind = 'pcu' and b.target = $2 and b.starts = blacklist.starts)`,
		}
	}
	if what == "site" {
		return []string{
			// an order that an earlier site of the name has left gives way to that of this one
			`delete from control where name = 'mode/site/' || $2::text
			and exists (select 1 from control c where c.name = 'mode/site/' || $1::text)`,
			`update control set name = 'mode/site/' || $2::text where name = 'mode/site/' || $1::text`,
			`update node set site = $2 where site = $1`,
			`update pcu set site = $2 where site = $1`,
			`update person set site = $2 where site = $1
			and not exists (select 1 from person p where p.person_id = person.person_id and p.site = $2)`,
			`update history set target = $2 where target = $1 and kind in ('site', 'plc')`,
			`update blacklist set target = $2 where kind = 'site' and target = $1
			and not exists (select 1 from blacklist b
				where b.kind = 'site' and b.target = $2 and b.starts = blacklist.starts)`,
			`update notice set site = $2 where site = $1`,
			`update action set site = $2 where site = $1`,
			`update issue set site = $2 where site = $1`,
			`update claim set site = $2 where site = $1`,
		}
	}
	return []string{
		`update history set target = $2 where target = $1 and kind in ('node', 'look', 'fact', 'plc')`,
		`update blacklist set target = $2 where kind = 'node' and target = $1
			and not exists (select 1 from blacklist b
				where b.kind = 'node' and b.target = $2 and b.starts = blacklist.starts)`,
		`update ruled set node = $2 where node = $1 and not exists (select 1 from ruled r where r.node = $2)`,
		`update notice set target = $2 where target = $1
			and not exists (select 1 from notice n
				where n.message_id = notice.message_id and n.kind = notice.kind and n.target = $2)`,
		`update action set node = $2 where node = $1`,
		`update issue set node = $2 where node = $1`,
		`update claim set target = $2 where target = $1 and kind in ('node disabled', 'boot state')
			and not exists (select 1 from claim c
				where c.kind = claim.kind and c.target = $2 and c.issue = claim.issue)`,
		`update bootman_logs set node = $2 where node = $1`,
		`update bootman_repairs set node = $2 where node = $1`,
	}
}

// rename takes along what is known under a name.
func (c *change) rename(what, from, to string) {
	for _, sql := range followers(what) {
		c.add(sql, from, to)
	}
}

// A name that another row needs now is parked until its own row gets its new one. No name of PLC has a #.
func park(name string, id int) string { return fmt.Sprintf("%s#%d", name, id) }

func parked(name string) string {
	name, _, _ = strings.Cut(name, "#")
	return name
}

// followRenames sees what stands under the new names of sites, as it will after the rows of sites are written.
func (in *intake) followRenames(stood *standing) {
	if len(in.renames) == 0 {
		return
	}
	for _, n := range stood.nodes {
		if to, renamed := in.renames[n.row.site]; renamed {
			n.row.site = to
		}
	}
	for _, p := range stood.pcus {
		if to, renamed := in.renames[p.row.site]; renamed {
			p.row.site = to
		}
	}
	persons := map[personKey]personRow{}
	for k, r := range stood.persons {
		if to, renamed := in.renames[k.site]; renamed {
			k.site = to
		}
		persons[k] = r
	}
	stood.persons = persons
}

// parkSites makes room for names that another row holds: of a site that has another name now, or that was deleted and
// made anew.
func (in *intake) parkSites(stood *standing) (list []change) {
	holders := map[string]int{}
	for id, s := range stood.sites {
		holders[s.row.login] = id
	}
	for _, id := range slices.Sorted(maps.Keys(in.sites)) {
		other, held := holders[in.sites[id].login]
		if !held || other == id {
			continue
		}
		was, c := stood.sites[other], change{what: fmt.Sprintf("sites %d", other)}
		if _, stays := in.sites[other]; stays || in.kept["sites"][other] {
			to := park(was.row.login, other)
			c.rename("site", was.row.login, to)
			c.add(`update site set login_base = $2 where site_id = $1`, other, to)
			was.row.login = to
		} else { // a deleted site took its nodes and PCUs with it
			c.add(`delete from site where site_id = $1`, other)
			nodes := in.known("nodes", slices.Collect(maps.Keys(in.nodes)))
			pcus := in.known("pcus", slices.Collect(maps.Keys(in.pcus)))
			c.add(`update node set gone = true where site = $1 and not node_id = any($2)`, was.row.login, nodes)
			c.add(`update pcu set gone = true where site = $1 and not pcu_id = any($2)`, was.row.login, pcus)
			delete(stood.sites, other)
		}
		list = append(list, c)
	}
	return list
}

// known are the ids that PLC has of a kind, with those of which nothing new is known.
func (in *intake) known(kind string, ids []int) []int {
	return slices.AppendSeq(append([]int{}, ids...), maps.Keys(in.kept[kind]))
}

// parkNodes is parkSites for nodes.
func (in *intake) parkNodes(stood *standing) (list []change) {
	holders := map[string]int{}
	for id, n := range stood.nodes {
		holders[n.row.host] = id
	}
	for _, id := range slices.Sorted(maps.Keys(in.nodes)) {
		other, held := holders[in.nodes[id].host]
		if !held || other == id {
			continue
		}
		was, c := stood.nodes[other], change{what: fmt.Sprintf("nodes %d", other)}
		if _, stays := in.nodes[other]; stays || in.kept["nodes"][other] {
			to := park(was.row.host, other)
			c.rename("node", was.row.host, to)
			c.add(`update node set hostname = $2 where node_id = $1`, other, to)
			was.row.host = to
		} else {
			c.add(`delete from node where node_id = $1`, other)
			delete(stood.nodes, other)
		}
		list = append(list, c)
	}
	return list
}

// parkPCUs is parkSites for PCUs. One that is gone has no claim to what is known under its name.
func (in *intake) parkPCUs(stood *standing) (list []change) {
	holders := map[string]int{}
	for id, p := range stood.pcus {
		if _, stays := in.pcus[id]; stays || in.kept["pcus"][id] {
			holders[p.row.name] = id
		}
	}
	for _, id := range slices.Sorted(maps.Keys(in.pcus)) {
		other, held := holders[in.pcus[id].name]
		if !held || other == id {
			continue
		}
		was, c := stood.pcus[other], change{what: fmt.Sprintf("pcus %d", other)}
		to := park(was.row.name, other)
		c.rename("pcu", was.row.name, to)
		c.add(`update pcu set name = $2 where pcu_id = $1`, other, to)
		was.row.name = to
		list = append(list, c)
	}
	return list
}
