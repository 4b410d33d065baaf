package main

import (
	"fmt"
	"strconv"
	"strings"
)

// maxRange is how many names one range may stand for.
const maxRange = 4096

// expand gives the names that a text stands for: "rack[1-3,7]" is rack1, rack2, rack3 and rack7, "bmc[01-12]" keeps the
// noughts, and commas outside of brackets separate.
func expand(text string) ([]string, error) {
	var all []string
	for _, one := range splitOutside(text) {
		names, err := expandOne(one)
		if err != nil {
			return nil, err
		}
		if all = append(all, names...); len(all) > maxRange {
			return nil, fmt.Errorf("%q stands for more than %d names", text, maxRange)
		}
	}
	return all, nil
}

// splitOutside splits at the commas that are in no brackets.
func splitOutside(text string) []string {
	var parts []string
	depth, from := 0, 0
	for i, r := range text {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ',' && depth == 0:
			parts, from = append(parts, text[from:i]), i+1
		}
	}
	return append(parts, text[from:])
}

func expandOne(text string) ([]string, error) {
	before, rest, ok := strings.Cut(text, "[")
	if !ok {
		if text == "" || strings.Contains(text, "]") {
			return nil, fmt.Errorf("%q is no name", text)
		}
		return []string{text}, nil
	}
	inside, after, ok := strings.Cut(rest, "]")
	if !ok {
		return nil, fmt.Errorf("%q has a bracket that does not close", text)
	}
	if strings.Contains(inside, ":") { // an address of IPv6
		return []string{text}, nil
	}
	tails := []string{after}
	if after != "" {
		var err error
		if tails, err = expandOne(after); err != nil {
			return nil, err
		}
	}
	var names []string
	for _, part := range strings.Split(inside, ",") {
		numbers, err := numbersOf(part)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		for _, n := range numbers {
			for _, tail := range tails {
				if names = append(names, before+n+tail); len(names) > maxRange {
					return nil, fmt.Errorf("%q stands for more than %d names", text, maxRange)
				}
			}
		}
	}
	return names, nil
}

// numbersOf are the numbers of "3" or of "01-12", as they are written.
func numbersOf(part string) ([]string, error) {
	low, high, isRange := strings.Cut(part, "-")
	if !isRange {
		high = low
	}
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || from < 0 || to < from || to-from >= maxRange {
		return nil, fmt.Errorf("%q is neither a number nor a range such as 1-8", part)
	}
	width := 0
	if strings.HasPrefix(low, "0") {
		width = len(low)
	}
	var list []string
	for n := from; n <= to; n++ {
		list = append(list, fmt.Sprintf("%0*d", width, n))
	}
	return list, nil
}
