package config

import (
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestRulesThatCannotBeMeantAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ rule, text, want string }{
		"a misspelt field":     {"full", "stauts=down", `did you mean status?`},
		"an unknown group":     {"full", "@west,facts.a>1", `no group "west"`},
		"nothing":              {"full", "", "an empty expression"},
		"a name with a blank":  {"disk full", "facts.a>1", `"disk full": a name has small letters`},
		"whether it is known":  {"full", "!known(facts.a)", "full: a rule must not ask whether something is known"},
		"whether a map has it": {"full", "!has(facts.a)", "must not ask whether something is known"},
		"what is empty":        {"full", "facts.a=", "must not ask whether something is known"},
		"how many are known":   {"full", "size(facts) < 3", "must not ask whether something is known"},
		"which are known":      {"full", `!("a" in facts)`, "must not ask whether something is known"},
		"it by a group":        {"full", "@unknown", "must not ask whether something is known"},
	} {
		cfg := Default()
		cfg.Groups = map[string]string{"east": "site=princeton", "unknown": "pcu="}
		cfg.Rules = map[string]string{c.rule: c.text}
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "rules: ") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// The rules that the page shows are good ones.
func TestTheRulesOfThePageAreGood(t *testing.T) {
	page, err := os.ReadFile("../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "```yaml\nrules:")
	block, _, found := strings.Cut(block, "```")
	var shown struct{ Rules map[string]string }
	if err := yaml.Unmarshal([]byte("rules:"+block), &shown); err != nil || !found || len(shown.Rules) != 3 {
		t.Fatalf("%v, %v", shown, err)
	}
	cfg := Default()
	cfg.Groups = map[string]string{"east": "site=princeton"}
	cfg.Rules = shown.Rules
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}
