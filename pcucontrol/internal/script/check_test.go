package script

import (
	"strings"
	"testing"
)

func TestAMistakeInAModelFileIsToldWithItsLine(t *testing.T) {
	const file = `about: Ours
transports: [telnet 23]
prompt: '> \z'
vars: {word: Reboot}
errors:
  - {hear: 'busy', kind: busy}
login:
  - hear: 'name: \z'
  - say: '{user}'
    errors: &wrong
      - {hear: 'denied', kind: auth}
status:
  - say: 'Status'
    read: '{outlet} is (\w+)'
cycle:
  - say: '{word} {outlet}'
    commit: true
    answers:
      - {hear: 'sure', say: 'Y'}
models:
  Ours:
  Theirs:
    cycle:
      - {say: 'Cycle {outlet}', commit: true, errors: *wrong}
`
	if _, err := Read("own.yaml", []byte(file)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, says string }{
		"a pattern that does not compile": {"name: \\z", "name: (",
			"own.yaml:8: Ours: login 1: hear: error parsing regexp"},
		"a pattern of a prompt": {"'> \\z'", "'['", "own.yaml:3: Ours: prompt: error parsing regexp"},
		"an unknown placeholder": {"{word} {outlet}", "{wort} {outlet}",
			"own.yaml:16: Ours: cycle 1: say 1: \"{wort} {outlet}\" has {wort}"},
		"an unknown placeholder in a pattern": {"{outlet} is", "{socket} is",
			"own.yaml:14: Ours: status 1: read: \"{socket} is"},
		"an unknown placeholder of an answer": {"say: 'Y'", "say: '{yes}'",
			"own.yaml:19: Ours: cycle 1: answers 1: say: \"{yes}\" has {yes}"},
		"a meaning without its words": {"{hear: 'busy', kind: busy}", "{kind: busy}",
			"own.yaml:6: Ours: errors 1: hear is missing"},
		"a meaning that is missing": {"{hear: 'denied', kind: auth}", "{hear: 'denied'}",
			"own.yaml:11: Ours: login 2: errors 1: kind is missing"},
		"a meaning that there is not": {"{hear: 'busy', kind: busy}", "{hear: 'busy', kind: weary}",
			"own.yaml:6: Ours: errors 1: kind: \"weary\" is no kind"},
		"a question without its words": {"{hear: 'sure', say: 'Y'}", "{say: 'Y'}",
			"own.yaml:19: Ours: cycle 1: answers 1: hear is missing"},
		"an unknown key": {"    commit: true\n    answers", "    comit: true\n    answers",
			"own.yaml:17: Ours: there is no key \"comit\""},
		"an unknown key of a model": {"{say: 'Cycle {outlet}', commit", "{sey: 'Cycle {outlet}', commit",
			"own.yaml:24: Theirs: there is no key \"sey\""},
		"a mistake in a model": {"'Cycle {outlet}'", "'Cycle {out}'",
			"own.yaml:24: Theirs: cycle 1: say 1: \"Cycle {out}\" has {out}"},
		"a transport that there is not": {"telnet 23", "pigeon 23",
			"own.yaml:2: Ours: transports: \"pigeon 23\" is not telnet"},
		"a command that does not say commit": {"    commit: true\n    answers", "    answers",
			"own.yaml:15: Ours: cycle: on, off, cycle, reset and shutdown need a step with commit"},
		"a pause that is no time": {"about: Ours", "pause: long",
			"a pause is a time of up to a minute such as 5s, not \"long\""},
		"a list that tells no outlets": {"about: Ours", "list: [{say: a, each: '(x)'}]",
			"own.yaml:1: Ours: list 1: each: \"(x)\" needs groups named outlet and state"},
		"a model that is no map": {"  Ours:\n", "  Ours: 7\n",
			"own.yaml:21: Ours: is 7, not a map of keys"},
		"a transport in only that there is not": {"  - say: 'Status'\n", "  - say: 'Status'\n    only: [pigeon]\n",
			"own.yaml:14: Ours: status 1: only: \"pigeon\""},
		"a reading without a group": {"is (\\w+)", "is \\w+",
			"own.yaml:14: Ours: status 1: read: \"{outlet} is \\\\w+\" needs one group"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := strings.Replace(file, c.from, c.to, 1)
			if broken == file {
				t.Fatalf("%q is not in the file", c.from)
			}
			for range 3 { // whichever model is read first
				_, err := Read("own.yaml", []byte(broken))
				if err == nil ||
					!strings.Contains(strings.ReplaceAll(err.Error(), "Theirs: login", "Ours: login"), c.says) {
					t.Errorf("it gives %v, not %s", err, c.says)
				}
			}
		})
	}
}

func TestVarsOfAModelAddToItsFamilys(t *testing.T) {
	found, err := Read("own.yaml", []byte(`
transports: [telnet 23]
prompt: '> \z'
vars: {reboot: Reboot, all: Status}
login: [{}]
cycle: [{say: '{reboot} {all} {outlet}', commit: true}]
models:
  Ours:
    vars: {reboot: Boot}
`))
	if err != nil {
		t.Fatal(err)
	}
	if c := found["Ours"]; c.Vars["reboot"] != "Boot" || c.Vars["all"] != "Status" {
		t.Errorf("the vars are %v", c.Vars)
	}
}
