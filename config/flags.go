package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are the flags that every Monitor program takes.
type Flags struct {
	Path  string   // --config
	Check bool     // --check-config
	Set   []string // --set section.key=value, as often as wanted
}

// AddFlags adds the shared flags to fs. Parse fs, then give the result to [Load].
func AddFlags(fs *pflag.FlagSet) *Flags {
	f := &Flags{}
	fs.StringVarP(&f.Path, "config", "c", "", "configuration `file` (YAML); MONITOR_CONFIG names it too")
	fs.BoolVar(&f.Check, "check-config", false, "check the configuration, say what is wrong with it, and exit")
	fs.StringArrayVar(&f.Set, "set", nil, "override one setting, such as mode=observe (`key=value`, repeatable)")
	return f
}

func (l *loader) readFlags(f *Flags) {
	all := leaves("", reflect.ValueOf(l.cfg).Elem())
	for _, pair := range f.Set {
		path, text, ok := strings.Cut(pair, "=")
		if !ok {
			l.fail(errors.New("--set: want section.key=value or mode=value"))
			continue
		}
		if err := l.setPath(all, path, text); err != nil {
			l.fail(fmt.Errorf("--set %s: %w", path, err))
		}
	}
}

func (l *loader) setPath(all []leaf, path, text string) error {
	for _, leaf := range all {
		if leaf.path != path {
			continue
		}
		if _, ok := leaf.value.Interface().(Secret); ok {
			return errors.New("a secret does not belong on a command line, where everyone can read it; use the environment or a file")
		}
		l.setText(leaf, "--set "+path, text)
		return nil
	}
	return errors.New("unknown key")
}

// Check is what --check-config does: it loads the configuration, tries the files that it names, and tells w that
// all is good or returns what is wrong. Sections are those that the program needs, as for [Config.Require].
func Check(w io.Writer, o Options, sections ...string) error {
	cfg, err := Load(o)
	if err == nil {
		err = errors.Join(cfg.Require(sections...), cfg.files())
	}
	if err != nil {
		return fmt.Errorf("the configuration has mistakes:\n%w", err)
	}
	for _, warning := range append(cfg.Warnings, cfg.Risks()...) {
		if _, err := fmt.Fprintln(w, "warning:", warning); err != nil {
			return err
		}
	}
	mode := string(cfg.Mode)
	if cfg.Mode == ModeAct {
		mode += ", mail " + cfg.Mail.Mode
	}
	_, err = fmt.Fprintf(w, "the configuration is good: mode %s, a policy day lasts %s\n", mode, cfg.Policy.Day)
	return err
}
