// Package bootman reads a node that is stuck in debug mode, over plain ssh: how it is, what its kernel says of its disks, how far
// its BootManager came. It names that as a sequence, which a table turns into an action, and it can do what the actions ask of
// the node itself. What is asked of PLC and of people is not its business.
package bootman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Action is what a sequence calls for.
type Action string

// The actions of the original table.
const (
	RestartBootManagerBoot Action = "restart_bootmanager_boot"
	RestartBootManagerRins Action = "restart_bootmanager_rins"
	RestartNodeBoot        Action = "restart_node_boot"
	RestartNodeRins        Action = "restart_node_rins"
	FsckRepair             Action = "fsck_repair"
	RepairNodeKeys         Action = "repair_node_keys"

	NodeConfigNotice      Action = "nodeconfig_notice"
	NodeNetworkEmail      Action = "nodenetwork_email"
	BadDNSNotice          Action = "baddns_notice"
	BadDiskNotice         Action = "baddisk_notice"
	MinimalHardwareNotice Action = "minimalhardware_notice"
	NoBlockDeviceNotice   Action = "noblockdevice_notice"
	UpdateBootCDEmail     Action = "update_bootcd_email"
	UnknownSequenceNotice Action = "unknownsequence_notice"
)

// Actions are all that a row of the table may name.
func Actions() []Action {
	return []Action{
		RestartBootManagerBoot, RestartBootManagerRins, RestartNodeBoot, RestartNodeRins, FsckRepair, RepairNodeKeys,
		NodeConfigNotice, NodeNetworkEmail, BadDNSNotice, BadDiskNotice, MinimalHardwareNotice, NoBlockDeviceNotice, UpdateBootCDEmail, UnknownSequenceNotice,
	}
}

// State is how a node was found from inside.
type State string

// The states of a node that can be entered.
const (
	Debug   State = "debug"
	Up      State = "up" // it runs: leave it alone
	Unknown State = "unknown"
)

// Reading is what one visit found. What comes behind State is there only as far as the visit went: a node that is up, one
// whose BootManager runs, and one whose disk fails are read no further.
type Reading struct {
	State    State
	Running  bool          // a BootManager is at work
	Since    time.Duration // for how long
	Failing  []string      // lines of dmesg by which media fail
	Log      []byte        // of the BootManager, without the node's key
	Cut      bool          // the log is longer than MaxOutput
	Sequence string
}

// Bootman reads nodes. It is safe for use by many goroutines.
type Bootman struct {
	*Namer
	disks *Disks
}

// New reads the patterns that are built in.
func New() (*Bootman, error) {
	namer, err := NewNamer()
	if err != nil {
		return nil, err
	}
	disks, err := NewDisks()
	return &Bootman{namer, disks}, err
}

const (
	stateScript   = `if [ -e /tmp/source ]; then echo debug; elif [ -e /vservers ]; then echo up; else echo unknown; fi`
	runningScript = `if [ -e /tmp/BM_RUNNING ]; then at=$(date -r /tmp/BM_RUNNING +%s 2>/dev/null) && echo "running $(($(date +%s) - at))" || echo running; fi`
	dmesgScript   = `dmesg`
	logScript     = `cat /tmp/bm.log`
)

// Read looks at a node and changes nothing.
func (b *Bootman) Read(ctx context.Context, c *Conn) (Reading, error) {
	var r Reading
	out, err := ask(ctx, c, "read its state", stateScript)
	if err != nil {
		return r, err
	}
	if r.State = stateIn(out.Text); r.State != Debug {
		return r, nil
	}
	if r.Running, r.Since, err = Running(ctx, c); err != nil || r.Running {
		return r, err
	}
	if out, err = ask(ctx, c, "read dmesg", dmesgScript); err != nil {
		return r, err
	}
	if r.Failing = b.disks.Failing(out.Text); r.Failing != nil {
		return r, nil
	}
	if out, err = ask(ctx, c, "read /tmp/bm.log", logScript); err != nil {
		return r, err
	}
	r.Log, r.Cut = Redact(out.Text), out.Cut
	r.Sequence = b.Sequence(r.Log)
	return r, nil
}

// stateIn finds the state among whatever else a node prints. An answer without one is no answer.
func stateIn(text []byte) State {
	for line := range bytes.Lines(text) {
		if s := State(bytes.TrimSpace(line)); s == Debug || s == Up {
			return s
		}
	}
	return Unknown
}

// Running says whether a BootManager is at work on a node, and for how long.
func Running(ctx context.Context, c *Conn) (bool, time.Duration, error) {
	out, err := ask(ctx, c, "look for a BootManager", runningScript)
	if err != nil {
		return false, 0, err
	}
	var rest string
	running := false
	for line := range bytes.Lines(out.Text) {
		if word, after, _ := strings.Cut(string(bytes.TrimSpace(line)), " "); word == "running" {
			running, rest = true, after
		}
	}
	if !running {
		return false, 0, nil
	}
	seconds, err := strconv.ParseInt(rest, 10, 32)
	if err != nil || seconds < 0 {
		seconds = 0 // the node's clock may do anything
	}
	return true, time.Duration(seconds) * time.Second, nil
}

// Dmesg reads the last lines of what the kernel has said, fit for people.
func Dmesg(ctx context.Context, c *Conn, lines int) ([]string, error) {
	out, err := ask(ctx, c, "read dmesg", dmesgScript)
	return Tail(out.Text, lines), err
}

// Tail gives the last lines of a log that are not empty, fit for people and without secrets.
func Tail(log []byte, lines int) []string {
	var tail []string
	all := bytes.Split(Redact(log), []byte("\n"))
	for i := len(all) - 1; i >= 0 && len(tail) < lines; i-- {
		if text := fit(all[i]); text != "" {
			tail = append(tail, text)
		}
	}
	slices.Reverse(tail)
	return tail
}

// ErrCommand says that a node answered a command with a failure.
var ErrCommand = errors.New("the command failed")

// ask runs a command that must succeed.
func ask(ctx context.Context, c *Conn, what, command string) (Output, error) {
	out, err := c.Run(ctx, command)
	switch {
	case err != nil:
		return out, fmt.Errorf("%s: %w", what, err)
	case out.Status != 0:
		first, _, _ := bytes.Cut(Redact(out.said()), []byte("\n"))
		return out, fmt.Errorf("%s: exit status %d, %q: %w", what, out.Status, fit(first), ErrCommand)
	}
	return out, nil
}
