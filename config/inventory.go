package config

import (
	"slices"
	"strings"
	"time"
)

// Where the fleet is written down.
const (
	InventoryPLC     = "plc"
	InventoryFile    = "file"
	InventoryAnsible = "ansible"
)

// Inventory says what the fleet is made of. The other settings count only where it is not PLC that says so.
type Inventory struct {
	// Source is plc, file or ansible.
	Source  string  `yaml:"source"`
	File    string  `yaml:"file"`
	Ansible Ansible `yaml:"ansible"`
	// Reinstall has a node installed anew. Without it the node boots from the network once, if its PCU can choose that.
	Reinstall Hook `yaml:"reinstall_hook"`
	// Penalty applies and undoes what sites are denied. Without it nobody is denied anything.
	Penalty Hook `yaml:"penalty_hook"`
}

// Ansible is an inventory of Ansible: a command that prints what ansible-inventory --list prints, or a file of that.
type Ansible struct {
	Command []string      `yaml:"command"`
	File    string        `yaml:"file"`
	Timeout time.Duration `yaml:"timeout"`
	// Sites are the groups whose hosts are Monitor's, with the site that each is.
	Sites map[string]string `yaml:"sites"`
	// Variables say in which variable of a host each field is, where that is not the usual one.
	Variables map[string]string `yaml:"variables"`
}

// Hook is a command or a URL that does for a fleet what PLC does elsewhere.
type Hook struct {
	Command []string      `yaml:"command"`
	URL     Secret        `yaml:"url"`
	URLFile string        `yaml:"url_file"`
	Key     Secret        `yaml:"key"`
	KeyFile string        `yaml:"key_file"`
	Timeout time.Duration `yaml:"timeout"`
}

// Set reports whether there is a hook.
func (h Hook) Set() bool { return len(h.Command) > 0 || h.URL != "" }

// problems finds what is wrong with the inventory. Fields are those that Ansible's variables may fill.
func (c Inventory) problems(check func(ok bool, path, format string, args ...any), fields []string) {
	a := c.Ansible
	check(c.Source != InventoryFile || c.File != "", "inventory.file", "must be set when inventory.source is file")
	check(c.Source != InventoryAnsible || (len(a.Command) > 0) != (a.File != ""), "inventory.ansible.command",
		"set it or inventory.ansible.file, and not both, when inventory.source is ansible")
	check(c.Source != InventoryAnsible || len(a.Sites) > 0, "inventory.ansible.sites",
		"must name a group and its site, as {all: lab}, when inventory.source is ansible")
	check(a.Timeout > 0, "inventory.ansible.timeout", "must be above zero, not %s", a.Timeout)
	for field := range a.Variables {
		check(slices.Contains(fields, field), "inventory.ansible.variables", "there is no field %q; there are %s", field,
			strings.Join(fields, ", "))
	}
	for name, h := range map[string]Hook{"reinstall_hook": c.Reinstall, "penalty_hook": c.Penalty} {
		path := "inventory." + name
		check(!h.Set() || c.Source != InventoryPLC, path, "is for a fleet without PLC; with inventory.source plc, PLC does it")
		check(len(h.Command) == 0 || h.URL == "", path, "set either its command or its url, not both")
		check(h.URL == "" || isHTTP(h.URL.Reveal()), path+".url", "must be an http or https URL without user and password")
		check(h.Timeout > 0, path+".timeout", "must be above zero, not %s", h.Timeout)
	}
}
