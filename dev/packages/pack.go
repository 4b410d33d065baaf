package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"
)

// pack is one package: what stands in it, and what it needs.
type pack struct {
	name, short, long string
	programs          map[string]string // in bin/ -> where it goes
	pages             []string          // of the manual, by prefix
	files             map[string]string // in the source tree -> where they go
	unit              string            // the unit that it brings, with an account and folders of its own
	account, places   string
	depends           map[string][]string // by format
}

func all() []pack {
	const doc = "/usr/share/doc/monitor/"
	return []pack{
		{
			name: "monitor", short: "keeps a fleet of far-away machines alive (command)",
			long: "The command of operators: it shows what Monitor knows of a fleet and gives\n" +
				"orders to its issues, sets Monitor up (monitor setup), tries all that it needs\n" +
				"(monitor doctor), and drives power control units by hand.",
			programs: map[string]string{"monitor": "/usr/bin/monitor"}, pages: []string{"monitor.1", "monitor-"},
			files: map[string]string{
				"README.md": doc, "CHANGELOG.md": doc, "SECURITY.md": doc, "docs/*.md": doc, "config/monitor.sample.yaml": doc,
			},
		},
		{
			name: "monitor-worker", short: "keeps a fleet of far-away machines alive (service)",
			long: "The process that watches: it runs the issues as durable workflows on Temporal,\n" +
				"keeps its memory in Postgres, and serves metrics. Set it up with\n`monitor setup`.",
			programs: map[string]string{"monitor-worker": "/usr/bin/monitor-worker"}, pages: []string{"monitor-worker.1"},
			files: map[string]string{
				"packaging/prometheus/*.yml": "/usr/share/monitor/prometheus/", "packaging/grafana/monitor.json": "/usr/share/monitor/grafana/",
				"packaging/systemd/credentials.conf": "/usr/share/doc/monitor-worker/examples/",
			},
			unit: "monitor-worker", account: "monitor", places: "/etc/monitor /var/lib/monitor",
			depends: onSystemd("monitor"),
		},
		{
			name: "monitor-temporal", short: "Temporal in one process, for trials of Monitor",
			long: "A Temporal server with its Web UI that keeps its state in one file. It is good\n" +
				"enough to try Monitor, and not for production.",
			programs: map[string]string{"temporal-dev": "/usr/lib/monitor/temporal-dev"},
			unit:     "monitor-temporal", account: "monitor-temporal", places: "/var/lib/monitor-temporal",
			depends: onSystemd(""),
		},
		{
			name: "monitor-tools", short: "power control units for clusters and for people at a site",
			long: "A fence agent for Pacemaker and its like that drives every power control unit\n" +
				"which Monitor knows, with nothing but the device: no database, no Temporal.",
			files:   map[string]string{"packaging/tools/fence_monitor": "/usr/sbin/", "docs/pcu.md": "/usr/share/doc/monitor-tools/"},
			depends: map[string][]string{"deb": {"monitor (= VERSION)"}, "rpm": {"monitor = VERSION"}},
		},
	}
}

// onSystemd are the dependencies of a package with a unit: what makes accounts and folders.
func onSystemd(beside string) map[string][]string {
	d := map[string][]string{"deb": {"systemd | systemd-standalone-sysusers", "systemd | systemd-standalone-tmpfiles"}, "rpm": {"systemd"}}
	if beside != "" {
		d["deb"] = append(d["deb"], beside+" (= VERSION)")
		d["rpm"] = append(d["rpm"], beside+" = VERSION")
	}
	return d
}

// info is a package as nfpm takes it.
func (o options) info(work string, p pack, format string) (*nfpm.Info, error) {
	contents, err := o.contents(work, p)
	if err != nil {
		return nil, err
	}
	version := versionOf(o.version)
	info := &nfpm.Info{
		Name: p.name, Arch: arch(), Platform: "linux", Version: version, VersionSchema: "none", Release: "1", Section: "admin", Priority: "optional",
		Maintainer: "The authors of Monitor <monitor@planet-lab.org>", Description: p.short + "\n" + p.long, Homepage: "https://github.com/planetlab/monitor",
		License: "BSD-3-Clause", MTime: o.built,
		Overridables: nfpm.Overridables{Contents: contents},
	}
	for _, d := range p.depends[format] {
		full := version
		if format == "deb" {
			full += "-1"
		}
		info.Depends = append(info.Depends, strings.ReplaceAll(d, "VERSION", full))
	}
	if p.unit != "" {
		for name, to := range map[string]*string{"postinst": &info.Scripts.PostInstall, "prerm": &info.Scripts.PreRemove, "postrm": &info.Scripts.PostRemove} {
			if *to, err = o.script(work, p, name); err != nil {
				return nil, err
			}
		}
	}
	return info, nil
}

// script is a maintainer script with the names of a package in it.
func (o options) script(work string, p pack, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(o.root, "packaging", "scripts", name))
	if err != nil {
		return "", err
	}
	made := strings.NewReplacer("UNIT", p.unit, "ACCOUNT", p.account, "PLACES", p.places).Replace(string(text))
	file := filepath.Join(work, p.name+"."+name)
	return file, os.WriteFile(file, []byte(made), 0o755)
}

func (o options) contents(work string, p pack) (files.Contents, error) {
	var list files.Contents
	add := func(from, to string, mode os.FileMode) {
		if strings.HasSuffix(to, "/") {
			to += filepath.Base(from)
		}
		list = append(list, &files.Content{Source: from, Destination: to, FileInfo: &files.ContentFileInfo{Mode: mode, MTime: o.built}})
	}
	for program, to := range p.programs {
		add(filepath.Join(o.bin, program), to, 0o755)
	}
	for pattern, to := range p.files {
		found, err := filepath.Glob(filepath.Join(o.root, pattern))
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("%s: no such file", pattern)
		}
		for _, f := range found {
			mode := os.FileMode(0o644)
			if strings.HasPrefix(to, "/usr/sbin") {
				mode = 0o755
			}
			add(f, to, mode)
		}
	}
	if err := o.documents(work, p, add); err != nil {
		return nil, err
	}
	if p.unit != "" {
		add(filepath.Join(o.root, "packaging/systemd", p.unit+".service"), "/usr/lib/systemd/system/", 0o644)
		add(filepath.Join(o.root, "packaging/sysusers", p.unit+".conf"), "/usr/lib/sysusers.d/", 0o644)
		add(filepath.Join(o.root, "packaging/tmpfiles", p.unit+".conf"), "/usr/lib/tmpfiles.d/", 0o644)
	}
	return append(list, o.folders(list)...), nil
}

// folders are those that are ours alone, or that may not be there: rpm, unlike dpkg, leaves one that no package has.
func (o options) folders(list files.Contents) (out files.Contents) {
	seen := map[string]bool{}
	for _, c := range list {
		for dir := filepath.Dir(c.Destination); strings.Contains(dir, "/monitor") || strings.HasPrefix(dir, "/usr/share/fish"); {
			if !seen[dir] {
				seen[dir] = true
				out = append(out, &files.Content{Type: files.TypeDir, Destination: dir, Packager: "rpm",
					FileInfo: &files.ContentFileInfo{Mode: 0o755, MTime: o.built}})
			}
			dir = filepath.Dir(dir)
		}
	}
	return out
}

// documents are what Debian's policy wants of every package, the manual pages, and the completions.
func (o options) documents(work string, p pack, add func(from, to string, mode os.FileMode)) error {
	doc := "/usr/share/doc/" + p.name + "/"
	add(filepath.Join(o.root, "packaging/copyright"), doc, 0o644)
	if len(p.programs) > 0 {
		add(filepath.Join(o.root, "THIRD_PARTY_NOTICES.md"), doc, 0o644)
	}
	log := filepath.Join(work, "changelog.Debian")
	entry := fmt.Sprintf("%s (%s-1) unstable; urgency=medium\n\n  * What changed is in /usr/share/doc/monitor/CHANGELOG.md.\n\n -- The authors of Monitor <monitor@planet-lab.org>  %s\n",
		p.name, versionOf(o.version), o.built.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	zipped := filepath.Join(work, p.name+".changelog.gz")
	if err := os.WriteFile(log, []byte(entry), 0o644); err != nil {
		return err
	}
	if err := zip(log, zipped); err != nil {
		return err
	}
	add(zipped, doc+"changelog.Debian.gz", 0o644)
	for _, prefix := range p.pages {
		found, err := filepath.Glob(filepath.Join(work, "man/man1", prefix+"*"))
		if err != nil {
			return err
		}
		for _, page := range found {
			if strings.HasSuffix(page, ".gz") || p.name == "monitor" && filepath.Base(page) == "monitor-worker.1" {
				continue
			}
			if err := zip(page, page+".gz"); err != nil {
				return err
			}
			add(page+".gz", "/usr/share/man/man1/", 0o644)
		}
	}
	if p.name == "monitor" {
		for _, c := range []string{"bash-completion/completions/monitor", "zsh/vendor-completions/_monitor", "fish/vendor_completions.d/monitor.fish"} {
			add(filepath.Join(work, c), "/usr/share/"+filepath.Dir(c)+"/", 0o644)
		}
	}
	return nil
}

// zip compresses a file as gzip -9n does.
func zip(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, b.Bytes(), 0o644)
}
