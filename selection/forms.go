package selection

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// writer writes the short forms in CEL.
type writer struct {
	table    *shape
	groups   map[string]string
	readFile func(path string) ([]byte, error)
	lists    map[string]nameList
}

// mostGroups is how deep groups may name groups.
const mostGroups = 8

// write is the expression in CEL. What is CEL already stays as it is.
func (w *writer) write(text string, depth int) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", fmt.Errorf("an empty expression selects nothing: write * for all %s", w.table.kind)
	case len(text) > mostText:
		return "", fmt.Errorf("it is longer than %d KiB: put names into a file, and write file:PATH", mostText>>10)
	case depth > mostGroups:
		return "", errors.New("groups name one another in a circle, or too deep")
	}
	if isOldForm(text) {
		return w.writeOld(text)
	}
	terms := splitOutside(text, ",")
	for _, t := range terms {
		if !isTerm(strings.TrimSpace(t)) {
			return text, nil
		}
	}
	return w.writeTerms(terms, depth)
}

// isOldForm tells the old form by its single equals sign beside && or ||. In CEL no equals sign stands alone.
func isOldForm(text string) bool {
	bare := outside(text)
	if !strings.Contains(bare, "&&") && !strings.Contains(bare, "||") {
		return false
	}
	for i := range len(bare) {
		if bare[i] == '=' && (i == 0 || !strings.ContainsRune("=!<>", rune(bare[i-1]))) &&
			!strings.HasPrefix(bare[i+1:], "=") {
			return true
		}
	}
	return false
}

var (
	keyTerm   = regexp.MustCompile(`^(!?)\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(!=|!~|>=|<=|=|~|>|<)\s*(.*)$`)
	nameTerm  = regexp.MustCompile(`^(!?)\s*([A-Za-z0-9_.*?\[\]/:-]+)$`)
	groupTerm = regexp.MustCompile(`^(!?)\s*@([A-Za-z0-9_.-]+)$`)
	fileTerm  = regexp.MustCompile(`^(!?)\s*file:(.+)$`)
)

// isTerm reports whether one piece between commas is in the short form.
func isTerm(t string) bool {
	if m := keyTerm.FindStringSubmatch(t); m != nil {
		value := m[4]
		return quoted(value) || m[3] == "~" || m[3] == "!~" ||
			!strings.HasPrefix(value, "=") && !strings.ContainsAny(value, `()'"{}`) &&
				!strings.Contains(value, "&&") && !strings.Contains(value, "||")
	}
	if t == "true" || t == "false" || strings.HasPrefix(t, "[") {
		return false
	}
	return nameTerm.MatchString(t) || groupTerm.MatchString(t) || fileTerm.MatchString(t)
}

func quoted(value string) bool {
	n := len(value)
	return n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] &&
		!strings.ContainsRune(value[1:n-1], rune(value[0]))
}

// outside is text with all that stands between quotes blanked, byte by byte. A quote that nobody closes is a letter.
func outside(text string) string {
	b := []byte(text)
	for i := 0; i < len(b); i++ {
		if b[i] != '"' && b[i] != '\'' {
			continue
		}
		end := closing(b, i)
		if end < 0 {
			continue
		}
		for j := i + 1; j < end; j++ {
			b[j] = '.'
		}
		i = end
	}
	return string(b)
}

// closing is where the quote that opens at i ends.
func closing(b []byte, i int) int {
	for j := i + 1; j < len(b); j++ {
		switch b[j] {
		case '\\':
			j++
		case b[i]:
			return j
		}
	}
	return -1
}

// splitOutside splits at a separator that stands outside quotes.
func splitOutside(text, separator string) []string {
	var parts []string
	bare := outside(text)
	for from := 0; ; {
		i := strings.Index(bare[from:], separator)
		if i < 0 {
			return append(parts, text[from:])
		}
		parts = append(parts, text[from:from+i])
		from += i + len(separator)
	}
}

// writeTerms joins terms by and. Names are joined by or first: nobody is two nodes at once.
func (w *writer) writeTerms(terms []string, depth int) (string, error) {
	var names, all []string
	for _, t := range terms {
		t = strings.TrimSpace(t)
		celText, isName, err := w.writeTerm(t, depth)
		if err != nil {
			return "", err
		}
		if isName && !strings.HasPrefix(t, "!") {
			names = append(names, celText)
		} else {
			all = append(all, celText)
		}
	}
	switch {
	case len(names) == 1:
		all = append([]string{names[0]}, all...)
	case len(names) > 1 && len(all) > 0:
		all = append([]string{"(" + strings.Join(names, " || ") + ")"}, all...)
	case len(names) > 1:
		return strings.Join(names, " || "), nil
	}
	return strings.Join(all, " && "), nil
}

func (w *writer) writeTerm(t string, depth int) (celText string, isName bool, err error) {
	if m := fileTerm.FindStringSubmatch(t); m != nil {
		celText, err = w.writeFile(m[2])
		return m[1] + celText, true, err
	}
	if m := groupTerm.FindStringSubmatch(t); m != nil {
		celText, err = w.writeGroup(m[2], depth)
		return m[1] + celText, true, err
	}
	if m := keyTerm.FindStringSubmatch(t); m != nil {
		if m[1] != "" {
			return "", false, fmt.Errorf("%q: write KEY!=VALUE instead of !KEY=VALUE", t)
		}
		celText, err = w.writeKey(m[2], m[3], m[4])
		return celText, false, err
	}
	m := nameTerm.FindStringSubmatch(t)
	if f := w.table.fields[m[2]]; f != nil && f.Type == Bool {
		return m[1] + m[2], false, nil
	}
	if m[2] == "*" {
		return m[1] + "true", true, nil
	}
	return fmt.Sprintf("%s%s(%s, %s)", m[1], fnNamed, w.table.key, strconv.Quote(m[2])), true, nil
}

func (w *writer) writeGroup(name string, depth int) (string, error) {
	text, known := w.groups[name]
	if !known {
		hint := "none is configured"
		if near := nearest(name, keysOf(w.groups)); near != "" {
			hint = "did you mean @" + near + "?"
		}
		return "", fmt.Errorf("no group %q: %s", name, hint)
	}
	celText, err := w.write(text, depth+1)
	if err != nil {
		return "", fmt.Errorf("group %s: %w", name, err)
	}
	return "(" + celText + ")", nil
}

func (w *writer) writeFile(path string) (string, error) {
	if w.readFile == nil {
		return "", errors.New("file: is for the command line only: write the names themselves")
	}
	if _, read := w.lists[path]; !read {
		text, err := w.readFile(path)
		if err != nil {
			return "", fmt.Errorf("list of names: %w", err)
		}
		l := nameList{set: map[string]bool{}}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			line, _, _ = strings.Cut(line, "#")
			for _, name := range strings.Fields(line) {
				if name = strings.ToLower(name); !l.set[name] {
					l.names, l.set[name] = append(l.names, askedName{name, fmt.Sprintf("%s, line %d: ", path, number)}), true
				}
			}
		}
		if len(l.names) == 0 {
			return "", fmt.Errorf("%s names nobody", path)
		}
		w.lists[path] = l
	}
	return fmt.Sprintf("%s(%s, %s)", fnListed, w.table.key, strconv.Quote(path)), nil
}

// writeOld writes the form of nodequery: alternatives of regular expressions, each from the beginning of a value.
func (w *writer) writeOld(text string) (string, error) {
	var alternatives []string
	for _, alternative := range splitOutside(text, "||") {
		var all []string
		for _, t := range splitOutside(alternative, "&&") {
			key, pattern, found := strings.Cut(t, "=")
			key, not := strings.CutSuffix(strings.TrimSpace(key), "!")
			if !found {
				return "", fmt.Errorf(
					"%q: the form KEY=REGEX&&KEY=REGEX||... has a KEY=REGEX between && and ||",
					strings.TrimSpace(t),
				)
			}
			f, err := w.table.field(strings.TrimSpace(key))
			if err != nil {
				return "", err
			}
			celText, err := f.matches("(?i)^(?:", strings.TrimSpace(pattern), ")")
			if err != nil {
				return "", err
			}
			if not {
				celText = "!" + celText
			}
			all = append(all, celText)
		}
		alternatives = append(alternatives, strings.Join(all, " && "))
	}
	return strings.Join(alternatives, " || "), nil
}

// matches compares a field's value, whatever its type, with a regular expression.
func (f *Field) matches(before, pattern, after string) (string, error) {
	if _, err := regexp.Compile(pattern); err != nil {
		return "", fmt.Errorf("%s: %w", f.Name, err)
	}
	re := strconv.Quote(before + pattern + after)
	switch f.Type {
	case Text:
		return f.Name + ".matches(" + re + ")", nil
	case List:
		return f.Name + ".exists(x, x.matches(" + re + "))", nil
	case Map:
		return "", fmt.Errorf("%s has many values: name one, as %s.NAME", f.Name, f.Name)
	}
	return "string(" + f.Name + ").matches(" + re + ")", nil
}
