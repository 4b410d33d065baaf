package config

import (
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/planetlab/monitor/policy"
)

// InForce is one setting as it is in force, and which place set it.
type InForce struct {
	Name   string `json:"name"`
	Value  any    `json:"value"`
	Source string `json:"source"`
}

// fromDefault is the source of a setting that no place sets.
const fromDefault = "default"

// Default reports whether no place sets it.
func (s InForce) Default() bool { return s.Source == fromDefault }

// Show is the configuration in force, setting by setting in the order of the sample, each with the place that set it: a line of
// the file, a variable of the environment, a flag, the preset, or none. Secrets are hidden, and so are those inside addresses.
func Show(o Options) ([]InForce, error) {
	l, err := loaded(o)
	if err != nil {
		return nil, err
	}
	_, preset := policy.Preset(l.cfg.Policy.Preset)
	usual := Default()
	were := leaves("", reflect.ValueOf(&usual).Elem())
	var list []InForce
	for i, leaf := range leaves("", reflect.ValueOf(l.cfg).Elem()) {
		s := InForce{Name: leaf.path, Value: shown(leaf.value), Source: l.where[leaf.path]}
		if file := l.where[leaf.path+"_file"]; s.Source == "" && file != "" && isSecret(leaf.value) {
			s.Source = "the file that " + file + " names"
		}
		if s.Source == "" {
			s.Source = fromDefault
			if preset && !reflect.DeepEqual(leaf.value.Interface(), were[i].value.Interface()) {
				s.Source = "policy.preset " + l.cfg.Policy.Preset
			}
		}
		list = append(list, s)
	}
	return list, nil
}

func isSecret(v reflect.Value) bool {
	_, is := v.Interface().(Secret)
	return is
}

// shown is a value as it may be shown.
func shown(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case Secret:
		return x.String()
	case time.Duration:
		return x.String()
	}
	switch v.Kind() {
	case reflect.String:
		return hideInAddress(v.String())
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, shown(v.Index(i)))
		}
		return list
	case reflect.Map:
		entries := map[string]any{}
		for _, key := range v.MapKeys() {
			entries[fmt.Sprint(key.Interface())] = shown(v.MapIndex(key))
		}
		return entries
	}
	return v.Interface()
}

var (
	loginInAddress = regexp.MustCompile(`(://[^/?#\s@:]*):[^/?#\s]*@`)
	keyInAddress   = regexp.MustCompile(`(?i)([?&][^=&\s]*(?:key|token|secret|passw|auth|sig)[^=&\s]*=)[^&#\s]+`)
)

// hideInAddress hides a password in front of a host, and what an address carries as a key.
func hideInAddress(text string) string {
	return keyInAddress.ReplaceAllString(loginInAddress.ReplaceAllString(text, "$1:"+redacted+"@"), "$1"+redacted)
}
