package main

import (
	"cmp"
	"os"

	"github.com/planetlab/monitor/pcucontrol"
)

// fed is what one argument means: an outlet, or a node with its power feeds.
type fed struct {
	name  string
	pcu   string // the name in the file of its first feed's PCU; empty without a file
	feeds []pcucontrol.Target
}

// pcuChoice says which outlets are meant, by flags or by names of a file.
type pcuChoice struct {
	a            *app
	target       pcucontrol.Target // what the flags say
	passwordFile string
	pcus         string // the file of PCUs
	asked        *string
	records      bool // names may be those of Monitor's own records
}

// byRecords reports whether the arguments are names of Monitor's own records: no file of PCUs is named, and no address.
func (p *pcuChoice) byRecords(args []string) bool {
	return p.records && len(args) > 0 && cmp.Or(p.pcus, os.Getenv(pcusVariable), p.target.Host, p.target.Model) == ""
}

// choose finds all that the arguments and flags mean.
func (p *pcuChoice) choose(args []string) ([]fed, error) {
	if len(args) > 0 {
		return p.byName(args)
	}
	switch {
	case p.target.Host == "" && p.target.Model == "":
		return nil, badInput("name targets of a file of PCUs (--pcus), or give --model and --host")
	case p.target.Model == "":
		return nil, badInput(`required flag(s) "model" not set`)
	case p.target.Host == "":
		return nil, badInput(`required flag(s) "host" not set`)
	}
	hosts, err := expand(p.target.Host)
	if err != nil {
		return nil, badInput("--host: %w", err)
	}
	var all []fed
	for _, host := range hosts {
		t := p.target
		t.Host = host
		if t.Password, err = p.password(t); err != nil {
			return nil, err
		}
		all = append(all, fed{feeds: []pcucontrol.Target{t}})
	}
	return all, nil
}

// file is the file of PCUs; nil if none is named.
func (p *pcuChoice) file() (*pcuFile, error) {
	path := cmp.Or(p.pcus, os.Getenv(pcusVariable))
	if path == "" {
		return nil, badInput("no file of PCUs: give --pcus or set %s, or use --model and --host", pcusVariable)
	}
	f, err := readPCUFile(path)
	if err != nil {
		return nil, badInput("%w", err)
	}
	return f, nil
}

func (p *pcuChoice) byName(args []string) ([]fed, error) {
	if p.target.Host != "" || p.target.Model != "" {
		return nil, badInput("%q is a target of a file; leave --model and --host out", args[0])
	}
	f, err := p.file()
	if err != nil {
		return nil, err
	}
	var all []fed
	for _, arg := range args {
		names, err := expand(arg)
		if err != nil {
			return nil, badInput("%w", err)
		}
		for _, name := range names {
			one, err := p.named(f, name)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// named is an alias or an outlet of the file.
func (p *pcuChoice) named(f *pcuFile, name string) (fed, error) {
	one := fed{name: name}
	feeds, alias := f.aliases[name]
	if !alias {
		feeds = []string{name}
	}
	one.pcu, _ = cutOutlet(feeds[0])
	for _, feed := range feeds {
		t, err := f.target(feed)
		if err != nil {
			return fed{}, badInput("%w", err)
		}
		password, known, err := f.password(feed)
		if err != nil {
			return fed{}, badInput("%w", err)
		}
		if !known {
			if password, err = p.password(t); err != nil {
				return fed{}, err
			}
		}
		t.Password, t.OffTime, t.Legacy = password, cmp.Or(p.target.OffTime, t.OffTime), t.Legacy || p.target.Legacy
		one.feeds = append(one.feeds, t)
	}
	return one, nil
}

// password is asked for once, whatever the number of targets.
func (p *pcuChoice) password(t pcucontrol.Target) (string, error) {
	if p.asked == nil {
		password, err := p.a.password(p.passwordFile, t)
		if err != nil {
			return "", err
		}
		p.asked = &password
	}
	return *p.asked, nil
}
