package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Options says where a configuration comes from. Each layer overrides the one before: defaults, file, environment, flags.
type Options struct {
	// Path is the YAML file. If it is empty, --config and then MONITOR_CONFIG name it; if those are empty there is no file.
	Path string
	// Env holds NAME=value pairs as os.Environ returns them; nil means the environment of the process.
	Env []string
	// Flags are the parsed flags that [AddFlags] made, or nil.
	Flags *Flags
}

// Load reads and checks the configuration, secret files included. Its error holds every complaint, one a line, each
// with the place that caused it and none with a secret.
func Load(o Options) (*Config, error) {
	l, err := loaded(o)
	if err != nil {
		return nil, err
	}
	return l.cfg, nil
}

func loaded(o Options) (*loader, error) {
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.Flags == nil {
		o.Flags = &Flags{}
	}
	cfg := Default()
	l := &loader{cfg: &cfg, where: map[string]string{}}

	path := firstOf(o.Path, o.Flags.Path, lookup(o.Env, "MONITOR_CONFIG"))
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err // it names the file
		}
		l.begin()
		l.readYAML(filepath.Base(path), data)
	}
	l.begin()
	l.readEnv(o.Env)
	l.begin()
	l.readFlags(o.Flags)
	l.readPreset()
	l.readSecretFiles()
	l.readOldModes()
	if path != "" {
		l.warnOfOpenFile(path, filepath.Base(path))
	}
	if len(l.errs) == 0 {
		for _, p := range l.cfg.problems() {
			l.fail(p.at(l.where[p.path]))
		}
	}
	if err := errors.Join(l.errs...); err != nil {
		return nil, err
	}
	return l, nil
}

// loader applies the layers to one Config and remembers which place set what.
type loader struct {
	cfg   *Config
	where map[string]string // path of a setting -> the place that set it
	layer map[string]bool   // paths that the present layer has set to something
	errs  []error
}

func (l *loader) begin()         { l.layer = map[string]bool{} }
func (l *loader) fail(err error) { l.errs = append(l.errs, err) }

// placed notes that a leaf was set. A secret and the file that may hold it exclude each other: the later layer wins,
// and one layer that sets both is refused, since nobody could tell which was meant.
func (l *loader) placed(set leaf, place string) {
	l.where[set.path] = place
	if set.value.IsZero() {
		return
	}
	l.layer[set.path] = true
	for _, other := range leaves("", reflect.ValueOf(l.cfg).Elem()) {
		if !twins(set, other) && !twins(other, set) {
			continue
		}
		if l.layer[other.path] {
			l.fail(fmt.Errorf("%s: set either %s or %s, not both", place, other.path, set.path))
		}
		other.value.SetZero()
		delete(l.where, other.path)
	}
}

// twins reports whether file names the file that may hold secret.
func twins(secret, file leaf) bool {
	_, ok := secret.value.Interface().(Secret)
	return ok && file.path == secret.path+"_file"
}

// foreign are variables that belong to others, though they are named after Monitor; each gives way to Monitor's own name.
var foreign = []struct{ env, path string }{
	{"DATABASE_URL", "database.url"},
	{"TEMPORAL_ADDRESS", "temporal.address"},
	{"TEMPORAL_NAMESPACE", "temporal.namespace"},
	{"TEMPORAL_API_KEY", "temporal.api_key"},
}

// kubernetes matches the variables that Kubernetes makes up from the names of services.
var kubernetes = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)`)

func (l *loader) readEnv(env []string) {
	all := leaves("", reflect.ValueOf(l.cfg).Elem())
	known := map[string]bool{"MONITOR_CONFIG": true}
	for _, leaf := range all {
		name := leaf.env()
		known[name] = true
		for _, f := range foreign {
			if f.path == leaf.path && lookup(env, name) == "" {
				name = f.env
			}
		}
		if text := lookup(env, name); text != "" {
			l.setText(leaf, name, text)
		}
	}
	for _, pair := range env {
		name, _, _ := strings.Cut(pair, "=")
		if !known[name] && ofSection(name, all) && !kubernetes.MatchString(name) {
			l.fail(fmt.Errorf("%s: no setting has this name", name))
		}
	}
}

// ofSection reports whether an environment variable is named as if it were a setting of ours.
func ofSection(name string, all []leaf) bool {
	return slices.ContainsFunc(all, func(l leaf) bool {
		section, _, _ := strings.Cut(l.path, ".")
		return strings.HasPrefix(name, "MONITOR_"+strings.ToUpper(section)+"_")
	})
}

func (l *loader) setText(leaf leaf, place, text string) {
	if err := leaf.setText(text); err != nil {
		l.fail(fmt.Errorf("%s: %w", place, err))
		return
	}
	l.placed(leaf, place)
}

// readSecretFiles reads each secret that is kept in a file of its own.
func (l *loader) readSecretFiles() {
	all := leaves("", reflect.ValueOf(l.cfg).Elem())
	for _, secret := range all {
		for _, file := range all {
			if !twins(secret, file) || file.value.String() == "" {
				continue
			}
			text, err := readSecret(file.value.String())
			if err != nil {
				l.fail(problem{file.path, err.Error()}.at(l.where[file.path]))
				continue
			}
			secret.value.SetString(text)
		}
	}
}

// readSecret returns the content of a secret file without the line end that editors leave.
func readSecret(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

// lookup returns the last value of a variable, as a shell would, or "".
func lookup(env []string, name string) string {
	for _, pair := range slices.Backward(env) {
		if key, value, ok := strings.Cut(pair, "="); ok && key == name {
			return value
		}
	}
	return ""
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
