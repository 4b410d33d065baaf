package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// example is one command that a help text or a page shows.
type example struct{ where, line string }

// examples are all that users are shown: those of every help text, and the lines of code in README and docs.
func examples(t *testing.T) []example {
	t.Helper()
	var all []example
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, example{cmd.CommandPath() + " --help", line})
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk((&app{now: noon}).root())
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		fenced := false
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			code := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "$ "), "bin/")
			if (fenced || strings.HasPrefix(line, "    ")) && strings.HasPrefix(code, "monitor ") {
				all = append(all, example{page, code})
			}
		}
	}
	return all
}

func pages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("../docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	return append(docs, "../README.md", "../CONTRIBUTING.md")
}

// shellWords splits a line as a shell does, and leaves out comments and what is read from a file.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	inWord := false
	end := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, inWord = r, true
		case quote == 0 && r == ' ':
			end()
		case quote == 0 && r == '#' && !inWord:
			return words
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	end()
	if i := slices.Index(words, "<"); i >= 0 {
		words = words[:i]
	}
	return words
}

// scripted is what a line of a script stands for: devices are called by other addresses there, and where they listen is
// not part of the example; nor is that a script goes on while one serves.
func scripted(line string) string {
	words := shellWords(strings.TrimPrefix(regexp.MustCompile(` &\w*&$`).ReplaceAllString(line, ""), "! "))
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "$RACK", "$SNMP", "$SCANNED":
			words[i] = "10.0.0.5"
		case "$BMC":
			words[i] = "10.0.0.6"
		case "$MODELS":
			words[i] = "/etc/monitor/models"
		}
		if i+1 < len(words) && strings.HasPrefix(words[i+1], "$") && (words[i] == "--port" || words[i] == "--transport") {
			words = slices.Delete(words, i, i+2)
			i--
		}
	}
	return strings.Join(words, "\x00")
}

// forShell is what stands outside quotes in a line and means something to a shell.
func forShell(line string) string {
	line, _, _ = strings.Cut(line, " < ") // that is meant
	line, _, _ = strings.Cut(line, " #")
	bare := regexp.MustCompile(`'[^']*'|"[^"]*"`).ReplaceAllString(line, "")
	bare = strings.ReplaceAll(bare, "!=", "") // the only ! that is no history of bash
	return regexp.MustCompile(`[<>|&;*?!$()]`).FindString(bare)
}

func scripts(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(list) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return list
}

func TestEveryExampleRunsInAScript(t *testing.T) {
	run := map[string]bool{}
	for _, file := range scripts(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "-- ") {
				break
			}
			run[scripted(strings.TrimSpace(line))] = true
		}
	}
	all := examples(t)
	if len(all) < 80 {
		t.Errorf("only %d examples are found", len(all))
	}
	for _, x := range all {
		if what := forShell(x.line); what != "" {
			t.Errorf("%s: a shell takes %s for its own, so it must stand in quotes: %s", x.where, what, x.line)
		}
		if !run[strings.Join(shellWords(x.line), "\x00")] {
			t.Errorf("%s: no script in testdata/script runs: %s", x.where, x.line)
		}
	}
}

func TestEveryCommandInTheTextOfAPageExists(t *testing.T) {
	root := (&app{now: noon}).root()
	span := regexp.MustCompile("`(monitor [a-z][^`]*)`")
	found := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range span.FindAllStringSubmatch(string(text), -1) {
			var words []string
			for _, w := range shellWords(m[1])[1:] {
				if strings.HasPrefix(w, "-") {
					break
				}
				words = append(words, w)
			}
			cmd, rest, err := root.Find(words)
			if err != nil || cmd == root && len(rest) > 0 || cmd.HasSubCommands() && len(rest) > 0 {
				if len(words) > 0 && words[0] != "completion" && words[0] != "help" {
					t.Errorf("%s: there is no %s", page, m[1])
				}
			}
			found++
		}
	}
	if found < 20 {
		t.Errorf("only %d commands are found", found)
	}
}

func TestEveryOldCommandHasItsLine(t *testing.T) {
	text, err := os.ReadFile("../docs/from-myops.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{"findbad", "nodebad", "findbadpcus", "nodequery", "nodegroups", "nodeinfo", "siteinfo", "pcuinfo", "plcquery", "nodehistory",
		"grouprins", "reboot", "nodeaction", "siteaction", "blacklist", "syncplcdb", "testapi", "bootman", "myops"} {
		if !strings.Contains(string(text), "| `"+old+".py` | ") {
			t.Errorf("%s.py has no line", old)
		}
	}
}
