// Package script drives devices that are described as data: conversations of lines and prompts, and web pages.
package script

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/web"
)

// Conversation is a text device as data: what it says, what to say to it, and what its words mean. One file describes a
// family; each of its models may replace any of the family's keys. docs/pcu.md tells how to write one.
type Conversation struct {
	About      string            `json:"about"`
	Transports []string          `json:"transports"` // in the order of trying, as "telnet 23"
	Single     bool              `json:"single"`     // switches one machine, not outlets
	Line       string            `json:"line"`       // what ends a line we say; by default CR LF, on ssh CR
	Redials    int               `json:"redials"`    // how often to call again when it hangs up before a word
	Prompt     string            `json:"prompt"`
	Vars       map[string]string `json:"vars"`   // texts for {name}
	Errors     []meaning         `json:"errors"` // wherever they are heard
	Login      []step            `json:"login"`  // on telnet and tcp
	Welcome    []step            `json:"welcome"`
	Test       []step            `json:"test"`    // the dry run after logging in; by default status
	Status     []step            `json:"status"`  // reads the outlet; leaves the device where on, off and cycle begin
	Recheck    []step            `json:"recheck"` // reads it again after a command; by default status
	On         []step            `json:"on"`
	Off        []step            `json:"off"`
	Cycle      []step            `json:"cycle"`
	Reset      []step            `json:"reset"`    // resets a machine whose power stays on
	Shutdown   []step            `json:"shutdown"` // asks its operating system to end
	List       []step            `json:"list"`     // reads all outlets
	Pause      pause             `json:"pause"`    // between off and on of a cycle without a command of its own
	Leave      []step            `json:"leave"`
	States     states            `json:"states"`

	// A device with web pages has these instead of a prompt and steps.
	Auth  web.Login         `json:"auth"`  // none, basic, challenge or locked
	Pages map[string][]page `json:"pages"` // by what they do: test, status, on, off, cycle
}

// step says something and hears the answer.
type step struct {
	Say     says      `json:"say"`    // lines, the prompt being heard between them
	Press   string    `json:"press"`  // keys without an end of line
	Hear    string    `json:"hear"`   // by default the prompt
	Read    string    `json:"read"`   // finds the state in what was heard; nothing found: no such outlet
	Each    string    `json:"each"`   // finds each outlet in what was heard, by groups outlet, name and state
	Expect  string    `json:"expect"` // must be in what was heard; otherwise the device refused
	Answers []answer  `json:"answers"`
	Errors  []meaning `json:"errors"`
	Nudge   string    `json:"nudge"`  // keys to press whenever it says nothing for half a second
	Commit  bool      `json:"commit"` // from here on the power may be switched
	Only    []string  `json:"only"`   // transports that need this step
}

// answer is what to say when the device asks something before the step is over. A question is answered once, or as many
// times as Times says; asked again, it means Again.
type answer struct {
	Hear  string          `json:"hear"`
	Say   string          `json:"say"`
	Press string          `json:"press"`
	Times int             `json:"times"`
	Again pcucontrol.Kind `json:"again"` // by default unexpected
}

type meaning struct {
	Hear string          `json:"hear"`
	Kind pcucontrol.Kind `json:"kind"`
	Fits string          `json:"fits"` // the model that drives what says so, where this one does not
}

// told is a meaning in words.
func (m meaning) told(heard string) string {
	text := "the device says: " + heard
	if m.Fits != "" {
		text += "; that is how " + m.Fits + " speaks: use that model"
	}
	return text
}

// states are the device's words for on and off, in lower case.
type states struct {
	On  []string `json:"on"`
	Off []string `json:"off"`
}

// of is the state that a device's word means.
func (s states) of(word string) pcucontrol.State {
	switch lower := strings.ToLower(word); {
	case slices.Contains(s.On, lower):
		return pcucontrol.On
	case slices.Contains(s.Off, lower):
		return pcucontrol.Off
	}
	return power.StateOf(word)
}

// pause is a time, written as "5s".
type pause time.Duration

// UnmarshalJSON reads a time of up to a minute.
func (p *pause) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("a pause is a time such as 5s, not %s", b)
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > time.Minute {
		return fmt.Errorf("a pause is a time of up to a minute such as 5s, not %q", text)
	}
	*p = pause(d)
	return nil
}

// says is a list of lines; one line may be written without the list.
type says []string

// UnmarshalJSON takes a line or a list of lines.
func (s *says) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return json.Unmarshal(b, (*[]string)(s))
	}
	*s = make(says, 1)
	return json.Unmarshal(b, &(*s)[0])
}

// Read reads a file of models: the model names and what drives each.
func Read(name string, text []byte) (map[string]Conversation, error) {
	if len(text) > 1<<20 {
		return nil, fmt.Errorf("%s: a model file of more than 1 MiB", name)
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	models, ok := file["models"].(map[string]any)
	if !ok || len(models) == 0 {
		return nil, fmt.Errorf("%s: models: names no model", name)
	}
	delete(file, "models")
	found := map[string]Conversation{}
	for _, model := range slices.Sorted(maps.Keys(models)) {
		own := models[model]
		c, err := merged(file, own)
		if err == nil {
			err = c.check()
		}
		if err != nil {
			return nil, linesOf(text).told(name, model, err)
		}
		found[model] = c
	}
	return found, nil
}

func merged(family map[string]any, own any) (Conversation, error) {
	all := maps.Clone(family)
	keys, ok := own.(map[string]any)
	if !ok && own != nil {
		return Conversation{}, fmt.Errorf("is %v, not a map of keys", own)
	}
	maps.Copy(all, keys)
	if vars, ok := family["vars"].(map[string]any); ok { // those of a model add to its family's
		both := maps.Clone(vars)
		if more, ok := keys["vars"].(map[string]any); ok {
			maps.Copy(both, more)
		}
		all["vars"] = both
	}
	// By way of JSON, which keeps control characters as they are and refuses unknown keys.
	b, err := json.Marshal(all)
	if err != nil {
		return Conversation{}, err
	}
	var c Conversation
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return c, d.Decode(&c)
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// check finds what would only fail in the middle of a conversation.
func (c Conversation) check() error {
	if _, err := c.transports(); err != nil {
		return err
	}
	if c.isWeb() {
		return c.checkPages()
	}
	if c.Prompt == "" || len(c.Login)+len(c.Welcome) == 0 {
		return fmt.Errorf("a prompt, and login or welcome, are needed")
	}
	if len(c.Cycle) == 0 && (len(c.On) == 0 || len(c.Off) == 0) {
		return fmt.Errorf("cycle is needed, or on and off")
	}
	for name, steps := range map[string][]step{"login": c.Login, "welcome": c.Welcome, "test": c.Test,
		"status": c.Status, "recheck": c.Recheck, "on": c.On, "off": c.Off, "cycle": c.Cycle, "reset": c.Reset,
		"shutdown": c.Shutdown, "list": c.List, "leave": c.Leave} {
		for i, s := range steps {
			if err := c.checkStep(s); err != nil {
				return below(err, name, i)
			}
		}
		if power := isPower(name); len(steps) > 0 &&
			power != slices.ContainsFunc(steps, func(s step) bool { return s.Commit }) {
			return mistake(
				errors.New("on, off, cycle, reset and shutdown need a step with commit, and no others may have one"),
				name)
		}
	}
	if err := c.checkPattern(c.Prompt); err != nil {
		return mistake(err, "prompt")
	}
	return c.checkMeanings(c.Errors)
}

// isPower says whether steps or pages of this name switch.
func isPower(name string) bool {
	return slices.Contains([]string{"on", "off", "cycle", "reset", "shutdown"}, name)
}

// transports are the ways of a conversation.
func (c Conversation) transports() ([]pcucontrol.Transport, error) {
	var list []pcucontrol.Transport
	for _, text := range c.Transports {
		name, number, _ := strings.Cut(text, " ")
		port, err := strconv.Atoi(number)
		if err != nil || port < 1 || port > 65535 ||
			!slices.Contains([]string{"telnet", "ssh", "tcp", "http", "https"}, name) {
			return nil, mistake(fmt.Errorf("%q is not telnet, ssh, tcp, http or https and a port", text), "transports")
		}
		if strings.HasPrefix(name, "http") != c.isWeb() {
			return nil, mistake(errors.New("http and https need pages, and pages need them"), "transports")
		}
		list = append(list, pcucontrol.Transport{Name: name, Port: port})
	}
	if len(list) == 0 {
		return nil, mistake(errors.New("at least one is needed"), "transports")
	}
	return list, nil
}

// fill puts values in the place of {names}. What is not known stays as it is: regular expressions have braces, too.
func (c Conversation) fill(text string, t pcucontrol.Target, quote func(string) string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		switch name {
		case "{user}":
			return quote(t.User)
		case "{password}":
			return quote(t.Password)
		case "{outlet}":
			return strconv.Itoa(t.Outlet)
		case "{index}":
			return strconv.Itoa(t.Outlet - 1)
		case "{prompt}":
			return c.fill(c.Prompt, t, quote)
		}
		if v, ok := c.Vars[strings.Trim(name, "{}")]; ok {
			return v
		}
		return name
	})
}

func (c Conversation) pattern(text string, t pcucontrol.Target) (*regexp.Regexp, error) {
	return regexp.Compile(c.fill(text, t, regexp.QuoteMeta))
}

func (c Conversation) isWeb() bool { return len(c.Pages) > 0 }

// capabilities are what the conversation has words for.
func (c Conversation) capabilities() []string {
	list := []string{"test"}
	for _, w := range []struct {
		word  string
		steps []step
	}{{"status", c.Status}, {"on", c.On}, {"off", c.Off}, {"cycle", nil}, {"reset", c.Reset}, {"shutdown",
		c.Shutdown}, {"list", c.List}} {
		if len(w.steps)+len(c.Pages[w.word]) > 0 || w.word == "cycle" {
			list = append(list, w.word)
		}
	}
	return list
}

// ReadDir reads all model files of a folder.
func ReadDir(dir string) (map[string]Conversation, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	all := map[string]Conversation{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found, err := Read(path, text)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, found)
	}
	return all, nil
}

// Model is the model that a conversation describes.
func (c Conversation) Model(name string) pcucontrol.Model {
	transports, _ := c.transports() // checked when read
	var routes []pcucontrol.Route
	for _, tr := range transports {
		tr.Can = c.capabilities()
		if c.isWeb() {
			routes = append(routes, pcucontrol.Route{Transport: tr, Driver: pageDriver{c}})
			continue
		}
		routes = append(routes, pcucontrol.Route{Transport: tr, Driver: textDriver{c, tr.Name}})
	}
	return pcucontrol.NewModel(name, c.About, !c.Single, routes...)
}
