package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/planetlab/monitor/pcucontrol"
)

// pcusVariable names the environment variable that may hold the file of PCUs.
const pcusVariable = "MONITOR_PCU_FILE"

// pcuEntry is one PCU of a file, or a range of them. Its password is somewhere else.
type pcuEntry struct {
	Model        string `yaml:"model"`
	Host         string `yaml:"host"` // by default its name
	Port         int    `yaml:"port"`
	Transport    string `yaml:"transport"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"` // below the folder of the file
	PasswordEnv  string `yaml:"password_env"`
	HostKey      string `yaml:"host_key"`
	Certificate  string `yaml:"certificate"`
	Legacy       bool   `yaml:"legacy"`
	OffTime      string `yaml:"off_time"`
}

// feedNames are one name of an outlet, or several: those of a node with several power feeds.
type feedNames []string

// UnmarshalYAML takes one name without a list, too.
func (f *feedNames) UnmarshalYAML(decode func(any) error) error {
	var one string
	if decode(&one) == nil {
		*f = feedNames{one}
		return nil
	}
	return decode((*[]string)(f))
}

// pcuFile is a file of PCUs, read: ranges are expanded.
type pcuFile struct {
	path    string
	pcus    map[string]pcuEntry
	aliases map[string][]string
}

// readPCUFile reads a file of PCUs; docs/pcu.md tells its form.
func readPCUFile(path string) (*pcuFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var raw struct {
		PCUs    map[string]pcuEntry  `yaml:"pcus"`
		Aliases map[string]feedNames `yaml:"aliases"`
	}
	if err := yaml.NewDecoder(strings.NewReader(string(text)), yaml.Strict()).Decode(&raw); err != nil &&
		!errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &pcuFile{path, map[string]pcuEntry{}, map[string][]string{}}
	for _, name := range slices.Sorted(maps.Keys(raw.PCUs)) {
		if err := f.addPCU(name, raw.PCUs[name]); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(raw.Aliases)) {
		if err := f.addAlias(name, raw.Aliases[name]); err != nil {
			return nil, fmt.Errorf("%s: alias %s: %w", path, name, err)
		}
	}
	return f, nil
}

func (f *pcuFile) addPCU(name string, e pcuEntry) error {
	if e.Model == "" {
		return errors.New("model is missing")
	}
	if _, err := offTimeOf(e.OffTime); err != nil {
		return err
	}
	names, err := expand(name)
	if err != nil {
		return err
	}
	hosts := names
	if e.Host != "" {
		if hosts, err = alongside(e.Host, len(names)); err != nil {
			return fmt.Errorf("host: %w", err)
		}
	}
	for i, n := range names {
		if _, twice := f.pcus[n]; twice {
			return fmt.Errorf("%s is there twice", n)
		}
		one := e
		one.Host = hosts[i]
		f.pcus[n] = one
	}
	return nil
}

func (f *pcuFile) addAlias(name string, feeds feedNames) error {
	names, err := expand(name)
	if err != nil {
		return err
	}
	for _, feed := range feeds {
		outlets, err := alongside(feed, len(names))
		if err != nil {
			return err
		}
		for i, n := range names {
			pcu, _ := cutOutlet(outlets[i])
			if _, known := f.pcus[pcu]; !known {
				return fmt.Errorf("there is no PCU %q", pcu)
			}
			f.aliases[n] = append(f.aliases[n], outlets[i])
		}
	}
	return nil
}

// names are those of all PCUs.
func (f *pcuFile) names() []string { return slices.Sorted(maps.Keys(f.pcus)) }

// plugs are the names of all that can be fenced: the aliases, and machines by themselves that no alias stands for.
func (f *pcuFile) plugs(c *pcucontrol.Catalog) []string {
	list, aliased := slices.Collect(maps.Keys(f.aliases)), map[string]bool{}
	for _, feeds := range f.aliases {
		for _, feed := range feeds {
			aliased[feed] = true
		}
	}
	for name, e := range f.pcus {
		if m, err := c.Resolve(e.Model); err == nil && !m.Outlets && !aliased[name] {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// alongside expands a text into as many names as there are; a text without a range is the same for all.
func alongside(text string, n int) ([]string, error) {
	names, err := expand(text)
	switch {
	case err != nil:
		return nil, err
	case len(names) == n:
		return names, nil
	case len(names) == 1:
		return slices.Repeat(names, n), nil
	}
	return nil, fmt.Errorf("%q stands for %d names beside %d", text, len(names), n)
}

// cutOutlet splits "rack1:3" and "rack1:web server".
func cutOutlet(name string) (pcu, outlet string) {
	pcu, outlet, _ = strings.Cut(name, ":")
	return pcu, outlet
}

func offTimeOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("off_time: %q is no time such as 5s", text)
	}
	return d, nil
}

// target is an outlet of a PCU of the file, by its name or its number. Its password is asked for by the entry.
func (f *pcuFile) target(name string) (pcucontrol.Target, error) {
	pcu, outlet := cutOutlet(name)
	e, known := f.pcus[pcu]
	if !known {
		return pcucontrol.Target{}, fmt.Errorf("%s has neither a PCU nor an alias %q", f.path, pcu)
	}
	t := pcucontrol.Target{
		Model: e.Model, Host: e.Host, Port: e.Port, Transport: e.Transport, User: e.User,
		KnownHostKey: e.HostKey, KnownCertificate: e.Certificate, Legacy: e.Legacy, OutletName: outlet,
	}
	t.OffTime, _ = offTimeOf(e.OffTime) // checked when read
	if n, err := strconv.Atoi(outlet); err == nil {
		t.Outlet, t.OutletName = n, ""
	}
	return t, nil
}

// password of a PCU; false if the file does not say where it is.
func (f *pcuFile) password(name string) (string, bool, error) {
	pcu, _ := cutOutlet(name)
	e := f.pcus[pcu]
	switch {
	case e.PasswordEnv != "":
		p, ok := os.LookupEnv(e.PasswordEnv)
		if !ok {
			return "", false, fmt.Errorf("%s: %s: %s is not set", f.path, pcu, e.PasswordEnv)
		}
		return p, true, nil
	case e.PasswordFile != "":
		path := e.PasswordFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(f.path), path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", false, fmt.Errorf("%s: %s: %w", f.path, pcu, err)
		}
		return strings.TrimRight(string(text), "\r\n"), true, nil
	}
	return "", false, nil
}
