package site

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/planetlab/monitor/clean"
)

// Bounds of what an issue asks of its site. Its own requests are far below: evidence is bounded where the issue opens.
// Whoever else may speak to the workflow must not make it too large to go on.
const (
	mostRequest = 256 << 10 // bytes, as JSON
	longestName = 600       // of a key or an id
)

// Check reports why a request cannot be taken, or nil.
func (r HoldRequest) Check() error {
	if err := checkNames(r.Key, r.Ref.ID, r.Ref.Run, r.Ref.Type, r.Ref.Node, r.Ref.PCU, r.Ref.Site, r.Kind,
		r.Advice); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	if typ, target, whole := strings.Cut(r.Ref.ID, "/"); !whole || typ == "" || target == "" {
		return fmt.Errorf("hold: %q is no issue: its id looks like nodedown/planetlab1.example.edu", r.Ref.ID)
	}
	return checkSize("hold", r)
}

// Check reports why a request cannot be taken, or nil.
func (r Release) Check() error {
	if err := checkNames(r.Key, r.Ref.ID, r.Ref.Run, r.Ref.Type, r.Ref.Node, r.Ref.PCU, r.Ref.Site,
		string(r.Ended)); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return checkSize("release", r)
}

func checkNames(names ...string) error {
	for _, n := range names {
		if !clean.Is(n, longestName) {
			return fmt.Errorf("%.100q is no name: it has %d bytes, or characters that no name has", n, len(n))
		}
	}
	return nil
}

// checkSize bounds a request. The same request always has the same JSON, so that a replay gets the same answer.
//
//workflowcheck:ignore
func checkSize(what string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(text) > mostRequest {
		return fmt.Errorf("%s: the request has %d bytes, more than %d", what, len(text), mostRequest)
	}
	return nil
}
