package sources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/planetlab/monitor/command"
)

// Lines is a command, or a file, that says what it knows in lines of JSON:
//
//	{"node": "n1.example.org", "facts": {"rack": "b4", "fans": 3}, "time": "2026-01-02T15:04:05Z"}
//
// The time may be left out.
type Lines struct {
	Command []string
	File    string // instead of a command
}

// Name is lines.
func (Lines) Name() string { return "lines" }

// Facts runs the command or reads the file. A line that cannot be read costs itself alone.
func (l Lines) Facts(ctx context.Context) ([]Fact, string, error) {
	var text []byte
	var err error
	if len(l.Command) > 0 {
		text, err = command.Run(ctx, l.Command, nil, mostText)
	} else {
		text, err = readFile(l.File)
	}
	if err != nil {
		return nil, "", err
	}
	facts, note := readLines(text)
	return facts, note, nil
}

func readLines(text []byte) (facts []Fact, note string) {
	number, bad, first := 0, 0, 0
	lines(text, func(line []byte) {
		number++
		var said struct {
			Node  string         `json:"node"`
			Facts map[string]any `json:"facts"`
			Time  time.Time      `json:"time"`
		}
		if err := json.Unmarshal(line, &said); err != nil || said.Node == "" {
			if bad++; bad == 1 {
				first = number
			}
			return
		}
		// the same are kept each time, where they are too many
		for _, name := range slices.Sorted(maps.Keys(said.Facts)) {
			facts = append(facts, Fact{Node: said.Node, Name: name, Value: said.Facts[name], At: said.Time})
		}
	})
	if bad > 0 {
		note = fmt.Sprintf("%d of %d lines cannot be read, the first is line %d", bad, number, first)
	}
	return facts, note
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // to open a pipe may hang
		return nil, fmt.Errorf("%s is no file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, mostText+1))
	if err == nil && len(text) > mostText {
		err = errors.New("the file is larger than 16 MiB")
	}
	return text, err
}
