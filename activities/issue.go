package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// The types of issues. Each is the name of a workflow, too, and the first half of its id.
const (
	NodeDownType        = policy.NodeDown
	PCUDownType         = policy.PCUDown
	SiteDownType        = policy.SiteDown
	FailbootType        = policy.FailbootIssue
	BadHardwareType     = policy.BadHardware
	DNSErrorType        = policy.DNSError
	NodeConfigType      = policy.NodeConfig
	OldBootCDType       = policy.OldBootCD
	FirewallType        = policy.Firewall
	MinimalHardwareType = policy.MinimalHardware
	NoBlockDeviceType   = policy.NoBlockDevice
	UnknownSequenceType = policy.UnknownSequence
	PCUMissingType      = policy.PCUMissing
	FilesystemType      = policy.Filesystem
)

// IssueInput starts an issue. One of the first three names its target; nothing else is needed. Who opens an issue and
// knows more than a sweep, as bootman, an alert or an operator does, says so in the cause and in the evidence.
type IssueInput struct {
	Node     string   `json:"node,omitempty"` // hostname as in PLC
	PCU      string   `json:"pcu,omitempty"`  // PCU name: its hostname, else its ip, else, or where several share that, pcu-<id>
	Site     string   `json:"site,omitempty"` // login_base
	Cause    string   `json:"cause,omitempty"`
	Evidence []string `json:"evidence,omitempty"` // one fact a line, for the people who are told
}

// InputFor is the input that starts an issue of a type about a target.
func InputFor(typ, target string) IssueInput {
	switch typ {
	case PCUDownType:
		return IssueInput{PCU: target}
	case SiteDownType:
		return IssueInput{Site: target}
	}
	return IssueInput{Node: target}
}

// Ref names an open issue and what it is about, in everything that passes between workflows and activities.
type Ref struct {
	ID   string `json:"id"`
	Run  string `json:"run"`
	Type string `json:"type"`
	Node string `json:"node,omitempty"`
	Site string `json:"site,omitempty"`
	PCU  string `json:"pcu,omitempty"`
	// PCUID is PLC's pcu_id, 0 when the target has none.
	PCUID int `json:"pcu_id,omitempty"`
}

// Target is the host, PCU or site the issue is about.
func (r Ref) Target() string {
	switch r.Type {
	case PCUDownType:
		return r.PCU
	case SiteDownType:
		return r.Site
	}
	return r.Node
}

// Opening is what the first activity of an issue gets: what it is about, and what its opener knew.
type Opening struct {
	Ref
	Cause    string   `json:"cause,omitempty"`
	Evidence []string `json:"evidence,omitempty"`
}

// Bounds of what an opener may say, so that a log pasted whole does not fill every history and every mail.
const (
	maxEvidence = 40
	maxLine     = 500
)

func bounded(lines []string) []string {
	var out []string
	for _, l := range lines[:min(len(lines), maxEvidence)] {
		out = append(out, cut(l))
	}
	if more := len(lines) - maxEvidence; more > 0 {
		out = append(out, fmt.Sprintf("and %d lines more", more))
	}
	return out
}

func cut(line string) string {
	if r := []rune(line); len(r) > maxLine {
		return string(r[:maxLine]) + " ..."
	}
	return line
}

// noTarget is the answer to an issue that names nothing Monitor knows; no retry mends that.
func noTarget(format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), ErrNoSuchTarget, nil)
}

// Open finds the target of a new issue, says why the issue is open, and writes it down.
func (a *Activities) Open(ctx context.Context, in Opening) (Opened, error) {
	ref := in.Ref
	if want := ref.Type + "/" + ref.Target(); ref.Target() == "" || ref.ID != want {
		return Opened{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("the id of this workflow is %q but its input makes it %q: start it with id %s/<target> and input "+
				`{"node":"<host>"}, {"pcu":"<name>"} or {"site":"<login_base>"}`, ref.ID, want, ref.Type), ErrBadInput, nil)
	}
	ref, record, reason, err := a.find(ctx, ref)
	if err != nil {
		return Opened{}, err
	}
	cause := cut(in.Cause)
	if cause == "" {
		cause = fmt.Sprintf("%s since %s: %s", record.Status, record.Changed.UTC().Format(time.RFC3339), reason)
	}
	before, err := a.pastOf(ctx, ref)
	if err != nil {
		return Opened{}, err
	}
	err = a.Record(ctx, Progress{Ref: ref, Status: "open", Opened: a.now(), Cause: cause})
	if err == nil {
		a.announce(notify.EventOpened, ref.ID+"/"+ref.Run+"/opened", ref, 0, cause)
	}
	return Opened{Ref: ref, Times: TimesOf(a.Policy), Cause: cause, Evidence: bounded(slices.Concat(in.Evidence, before))}, err
}

// find completes a ref from the store, with the status of its target and the reason for it.
func (a *Activities) find(ctx context.Context, ref Ref) (Ref, policy.Record, string, error) {
	switch ref.Type {
	case SiteDownType:
		s, err := a.Store.Site(ctx, ref.Site)
		if errors.Is(err, store.ErrNotFound) {
			return ref, policy.Record{}, "", noTarget("no site %q in the PLC snapshot: check the login_base, or run `monitor sweep` to fetch it", ref.Site)
		}
		return ref, s.Record, "the site as a whole", err
	case PCUDownType:
		p, err := a.Store.PCUByName(ctx, ref.PCU)
		if errors.Is(err, store.ErrNotFound) {
			return ref, policy.Record{}, "", noTarget("no PCU %q in the PLC snapshot: see `monitor site show` for its name", ref.PCU)
		}
		ref.Site, ref.PCUID = p.Site, p.PCUID
		return ref, p.Record, p.Reason, err
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if errors.Is(err, store.ErrNotFound) {
		return ref, policy.Record{}, "", noTarget("no node %q in the PLC snapshot: check the name, or run `monitor sweep` to fetch it", ref.Node)
	} else if err != nil {
		return ref, policy.Record{}, "", err
	}
	ref.Site, ref.PCUID = n.Site, n.PCUID
	if n.PCUID != 0 {
		p, err := a.Store.PCU(ctx, n.PCUID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return ref, policy.Record{}, "", err
		}
		ref.PCU = p.Name
	}
	return ref, n.Record, n.Reason, nil
}

// openIssue opens an issue about the node, PCU or site of a ref, with what its opener knows. One that is open already stays
// as it is, without an event. An empty cause lets the issue say what the store knows of its target.
func (a *Activities) openIssue(ctx context.Context, typ string, ref Ref, cause string, evidence []string) error {
	ref.Type = typ
	if ref.Target() == "" {
		return fmt.Errorf("open %s: no target", typ)
	}
	in := InputFor(typ, ref.Target())
	in.Cause, in.Evidence = cut(cause), bounded(evidence)
	id := typ + "/" + ref.Target()
	_, err := a.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: TaskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:            typ + " of " + ref.Target() + " at " + ref.Site,
	}, typ, in)
	if err != nil {
		return fmt.Errorf("open %s: %w", id, err)
	}
	return nil
}
