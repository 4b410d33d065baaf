package inventory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/command"
	"github.com/planetlab/monitor/pcucontrol"
)

// Ansible is any inventory of Ansible: a command that prints what `ansible-inventory --list` prints, or a file of that.
// Groups of hosts become sites, variables of hosts become what Monitor must know of nodes and their PCUs.
type Ansible struct {
	Command []string
	Path    string // instead of a command
	Timeout time.Duration
	Sites   map[string]string // group to site
	// Variables says which variable holds which field, over [Variables]; of several, parted by |, the first that is
	// set.
	Variables map[string]string
	Models    *pcucontrol.Catalog
}

// Variables are the fields that Ansible may fill, and the variables in which they are looked for. A configuration may
// name others.
func Variables() map[string]string {
	return map[string]string{
		"address": "ansible_host", "model": "model", "boot_state": "boot_state", "contacts": "contacts",
		"pcu": "pcu", "pcu_outlet": "pcu_outlet",
		"pcu_address": "bmc_address|ipmi_address|redfish_address", "pcu_model": "bmc_model",
		"pcu_user": "bmc_user|ipmi_user", "pcu_password": "bmc_password|ipmi_password",
		"pcu_password_env": "bmc_password_env", "pcu_password_file": "bmc_password_file",
	}
}

// Read asks Ansible, and checks what it says.
func (a *Ansible) Read(ctx context.Context) (*Fleet, error) {
	name, text, err := a.Path, []byte(nil), error(nil)
	if len(a.Command) > 0 {
		name = a.Command[0]
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.Timeout)
		defer cancel()
		text, err = command.Run(ctx, a.Command, nil, mostText)
		if err != nil {
			err = fmt.Errorf("the inventory cannot be read: %w", err)
		}
	} else {
		text, err = readBounded(a.Path)
	}
	if err != nil {
		return nil, err
	}
	return a.Parse(name, text)
}

// ansibleGroup is a group as --list prints it.
type ansibleGroup struct {
	Hosts    []string `json:"hosts"`
	Children []string `json:"children"`
}

// Parse makes a fleet of what --list printed.
func (a *Ansible) Parse(name string, text []byte) (*Fleet, error) {
	m := &mistakes{file: name}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		m.add(0, "", "print what `ansible-inventory --list` prints", "it is not a JSON object")
		return nil, m.err()
	}
	var meta struct {
		HostVars map[string]map[string]any `json:"hostvars"`
	}
	if _, has := raw["_meta"]; !has || json.Unmarshal(raw["_meta"], &meta) != nil || meta.HostVars == nil {
		m.add(0, "", "print what `ansible-inventory --list` prints", "it has no _meta with hostvars")
		return nil, m.err()
	}
	r := ansibleReader{mistakes: m, groups: map[string]ansibleGroup{}, vars: meta.HostVars, where: Variables()}
	maps.Copy(r.where, a.Variables)
	for group, text := range raw {
		var g ansibleGroup
		if group == "_meta" {
			continue
		}
		if err := json.Unmarshal(text, &g); err != nil { // an old script prints a list of hosts
			if json.Unmarshal(text, &g.Hosts) != nil {
				m.add(0, "group "+group, "print hosts: and children:", "it is neither a group nor a list of hosts")
			}
		}
		r.groups[group] = g
	}
	f := r.fleet(a.Sites)
	f.complete()
	check(m, f, a.Models)
	if err := m.err(); err != nil {
		return nil, err
	}
	return f, nil
}

type ansibleReader struct {
	*mistakes
	groups map[string]ansibleGroup
	vars   map[string]map[string]any
	where  map[string]string // field to variables
}

// fleet puts each host into the site of its group. A host of no such group is not Monitor's.
func (r *ansibleReader) fleet(sites map[string]string) *Fleet {
	member := map[string]string{} // host to the group that brought it
	for _, group := range slices.Sorted(maps.Keys(sites)) {
		if _, known := r.groups[group]; !known && group != "all" {
			r.add(0, "", "mend inventory.ansible.sites", "there is no group %q", group)
			continue
		}
		for _, host := range r.members(group) {
			other, has := member[host]
			switch {
			case !has, other == "all":
				member[host] = group
			case group == "all" || sites[other] == sites[group]:
			default:
				r.add(0, "host "+host, "let only one of them stand for a site",
					"it is in %s and in %s, which are two sites", other, group)
			}
		}
	}
	bySite := map[string]*Site{}
	pcus := map[string]PCU{}
	for _, host := range slices.Sorted(maps.Keys(member)) {
		login := sites[member[host]]
		if bySite[login] == nil {
			bySite[login] = &Site{Name: login}
		}
		r.host(bySite[login], host, pcus)
	}
	f := &Fleet{from: r.file}
	for _, login := range slices.Sorted(maps.Keys(bySite)) {
		f.Sites = append(f.Sites, *bySite[login])
	}
	return f
}

// members are the hosts of a group and of the groups below it.
func (r *ansibleReader) members(group string) []string {
	if group == "all" {
		hosts := map[string]bool{}
		for _, g := range r.groups {
			for _, h := range g.Hosts {
				hosts[h] = true
			}
		}
		return slices.Sorted(maps.Keys(hosts))
	}
	var hosts []string
	seen := map[string]bool{}
	var walk func(string)
	walk = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		hosts = append(hosts, r.groups[name].Hosts...)
		for _, child := range r.groups[name].Children {
			walk(child)
		}
	}
	walk(group)
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// value is a field of a host; nil: none of its variables is set.
func (r *ansibleReader) value(host, field string) any {
	for name := range strings.SplitSeq(r.where[field], "|") {
		if v, set := r.vars[host][name]; set && v != nil {
			return v
		}
	}
	return nil
}

func (r *ansibleReader) text(host, field string) string {
	switch v := r.value(host, field).(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	r.add(0, "host "+host, "let it be one plain value", "its variable %s is none", r.where[field])
	return ""
}

func (r *ansibleReader) host(s *Site, host string, pcus map[string]PCU) {
	n := Node{Name: host, Address: r.text(host, "address"), Model: r.text(host, "model"),
		BootState: r.text(host, "boot_state")}
	name, address := r.text(host, "pcu"), r.text(host, "pcu_address")
	if name != "" || address != "" {
		outlet, err := strconv.Atoi(cmp.Or(r.text(host, "pcu_outlet"), "1"))
		if err != nil {
			r.add(0, "host "+host, "write digits alone", "its variable %s is no number", r.where["pcu_outlet"])
		}
		p := PCU{Name: cmp.Or(name, bmcName(host)), Address: address, Model: r.text(host, "pcu_model"),
			User:     r.text(host, "pcu_user"),
			Password: Secret{Env: r.text(host, "pcu_password_env"), File: r.text(host, "pcu_password_file")}}
		if word := r.text(host, "pcu_password"); word != "" {
			p.Password = Secret{text: word, given: true}
		}
		switch was, known := pcus[p.Name]; {
		case !known:
			pcus[p.Name] = p
			s.PCUs = append(s.PCUs, p)
		case was != p:
			r.add(0, "host "+host, "say the same of it at each host",
				"another host has the PCU %s with another address, model, user or password", p.Name)
		}
		n.Power = append(n.Power, Outlet{PCU: p.Name, Outlet: outlet})
	}
	s.Nodes = append(s.Nodes, n)
	r.contacts(s, host)
}

// contacts are addresses of technicians: one text, or a list of them.
func (r *ansibleReader) contacts(s *Site, host string) {
	var list []string
	switch v := r.value(host, "contacts").(type) {
	case nil:
	case string:
		list = strings.FieldsFunc(v, func(c rune) bool { return c == ',' || c == ' ' })
	case []any:
		for _, one := range v {
			list = append(list, fmt.Sprint(one))
		}
	}
	for _, email := range list {
		if !slices.ContainsFunc(s.People, func(p Person) bool { return p.Email == email }) {
			s.People = append(s.People, Person{Email: email})
		}
	}
}
