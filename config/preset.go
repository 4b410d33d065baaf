package config

import (
	"reflect"

	"github.com/planetlab/monitor/policy"
)

// readPreset fills in the numbers of a policy's preset, but for those that somebody has set. A name that is none is
// found by
// the checks.
func (l *loader) readPreset() {
	preset, known := policy.Preset(l.cfg.Policy.Preset)
	if !known {
		return
	}
	for kind, usual := range policy.Defaults(policyDay).NoticeEvery { // of these some may be set, and others not
		if mine, ok := l.cfg.Policy.NoticeEvery[kind]; ok && mine == usual {
			l.cfg.Policy.NoticeEvery[kind] = preset.NoticeEvery[kind]
		}
	}
	numbers := leaves("policy", reflect.ValueOf(&preset).Elem())
	for i, mine := range leaves("policy", reflect.ValueOf(&l.cfg.Policy).Elem()) {
		if l.where[mine.path] == "" {
			mine.value.Set(numbers[i].value)
		}
	}
}
