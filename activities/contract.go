package activities

import (
	"github.com/planetlab/monitor/issue"
)

// Task queues: machines are driven on a queue of their own, so that slow PCUs never hold up mail or records.
const (
	TaskQueue        = "monitor"
	MachineTaskQueue = "monitor-machines"
)

// Workflow types and ids that activities start or talk to by name.
const (
	SiteType   = "site"
	SweepType  = "sweep"
	WhyNotType = "why-not"
	LookType   = "look"

	SignalRecovered = "cleared"
	SignalPCUBack   = "pcuback"
	SignalRetry     = "retry"
	SignalForgotten = "forgotten"
)

// Failures that no retry can mend; the names stand in workflow histories.
const (
	ErrNoSuchTarget = "no such target"
	ErrBadInput     = "bad input"
)

// OpenRequest asks for a new issue: which workflow asks, and what its opener knew.
type OpenRequest struct {
	Ref   Ref         `json:"ref"`
	Input issue.Input `json:"input"`
}

// CloseRequest ends an issue. Unless Force, a fresh look must find its target good.
type CloseRequest struct {
	State issue.State `json:"state"`
	Force bool        `json:"force,omitempty"`
}

// Ref names an open issue and what it is about.
type Ref = issue.Ref
