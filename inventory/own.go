package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/planetlab/monitor/plc"
)

// Record is what Monitor's store keeps for a fleet without PLC.
type Record interface {
	// InventoryIDs gives names their ids: see [IDs].
	InventoryIDs(ctx context.Context, kind string, names []string) (map[string]int, error)
	// OwnState is the state of something that Monitor keeps itself; empty: the usual one.
	OwnState(ctx context.Context, kind, name string) (string, error)
	OwnStates(ctx context.Context, kind string) (map[string]string, error)
	SetOwnState(ctx context.Context, kind, name, state string) error
	// InventoryName is the name that has an id; empty: none has.
	InventoryName(ctx context.Context, kind string, id int) (string, error)
	// ClaimJSON is the newest claim that is held of a kind on a target; nil: none is.
	ClaimJSON(ctx context.Context, kind, target string) (json.RawMessage, error)
}

// The kinds of own states, and the states that are not kept because they are the usual ones.
const (
	ownBootState = "boot state"
	ownLevel     = "penalty" // of a site, by level
	usualBoot    = "boot"
)

// Own answers for a fleet as PLC's client does. Boot states and what sites are denied are Monitor's own facts; a node
// that its owner has disabled in the source is disabled, whatever Monitor thinks.
type Own struct {
	source Source
	record Record
	// fresh is how long what was read serves for questions about single nodes.
	fresh   time.Duration
	penalty *Hook

	mu   sync.Mutex
	last *Fleet
	read time.Time
}

// NewOwn makes one. A source that costs little is asked for each node; fresh spares one that runs a program. Without a
// penalty hook nobody is denied anything.
func NewOwn(source Source, record Record, fresh time.Duration, penalty *Hook) *Own {
	return &Own{source: source, record: record, fresh: fresh, penalty: penalty}
}

func (o *Own) fleet(ctx context.Context, fresh time.Duration) (*Fleet, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last != nil && time.Since(o.read) < fresh {
		return o.last, nil
	}
	f, err := o.source.Read(ctx)
	if err == nil {
		o.last, o.read = f, time.Now()
	}
	return f, err
}

// Snapshot reads the source anew, and gives it as PLC would.
func (o *Own) Snapshot(ctx context.Context) (plc.Snapshot, error) {
	f, err := o.fleet(ctx, 0)
	if err != nil {
		return plc.Snapshot{}, err
	}
	s, err := f.snapshot(ctx, o.record.InventoryIDs)
	if err != nil {
		return s, err
	}
	states, err := o.record.OwnStates(ctx, ownBootState)
	if err != nil {
		return s, err
	}
	for i := range s.Nodes {
		s.Nodes[i].BootState = bootState(s.Nodes[i].BootState, states[s.Nodes[i].Hostname])
	}
	denied, err := o.record.OwnStates(ctx, ownLevel)
	for i := range s.Sites {
		s.Sites[i].Enabled = denied[levelName(s.Sites[i].LoginBase, 1)] == ""
	}
	return s, err
}

// bootState is that of a node by what its owner says and what Monitor has set.
func bootState(owner, own string) string {
	switch {
	case owner != "" && owner != usualBoot:
		return owner
	case own != "":
		return own
	}
	return usualBoot
}

// Node reads one node by its exact name, with the outlets that feed it and the boot state it has now.
func (o *Own) Node(ctx context.Context, host string) (plc.Node, error) {
	n, err := o.find(ctx, host)
	if err != nil {
		return plc.Node{}, err
	}
	own, err := o.record.OwnState(ctx, ownBootState, host)
	if err != nil {
		return plc.Node{}, err
	}
	var pcus []string
	for _, f := range n.Power {
		pcus = append(pcus, f.PCU)
	}
	ids := map[string]map[string]int{}
	for kind, names := range map[string][]string{kindNode: {host}, kindPCU: pcus} {
		if ids[kind], err = o.record.InventoryIDs(ctx, kind, names); err != nil {
			return plc.Node{}, err
		}
	}
	row := (&teller{ids: ids}).node(0, n)
	row.BootState = bootState(n.BootState, own)
	return row, nil
}

func (o *Own) find(ctx context.Context, host string) (Node, error) {
	f, err := o.fleet(ctx, o.fresh)
	if err != nil {
		return Node{}, as(plc.ErrUnavailable, err)
	}
	for _, s := range f.Sites {
		for _, n := range s.Nodes {
			if n.Name == host {
				return n, nil
			}
		}
	}
	return Node{}, as(plc.ErrNotFound, fmt.Errorf("the inventory has no node %s", host))
}

// kind is an error that is one of package plc's to those who ask, without its words: they speak of PLC.
type kind struct {
	error
	is error
}

func (k kind) Is(target error) bool { return errors.Is(k.is, target) }
func (k kind) Unwrap() error        { return k.error }

func as(is, err error) error { return kind{err, is} }

// SetBootState keeps what a node is to boot into. It tells the node nothing.
func (o *Own) SetBootState(ctx context.Context, host, state string) error {
	if host == "" || state == "" {
		return errors.New("a boot state needs a node and a state")
	}
	if state == usualBoot { // also of a node that is gone
		return o.record.SetOwnState(ctx, ownBootState, host, "")
	}
	if _, err := o.find(ctx, host); err != nil {
		return err
	}
	return o.record.SetOwnState(ctx, ownBootState, host, state)
}

// Networks is the one address that the inventory has of a node.
func (o *Own) Networks(ctx context.Context, host string) ([]plc.Network, error) {
	n, err := o.find(ctx, host)
	if err != nil {
		return nil, err
	}
	return []plc.Network{{IP: n.Address, Primary: true}}, nil
}

// errNoKeys says that node keys are PLC's alone.
var errNoKeys = as(plc.ErrRefused, errors.New("without PLC there are no node keys"))

// NodeKey has none: the key by which a node proves to PLC who it is needs a PLC.
func (o *Own) NodeKey(context.Context, string) (plc.Secret, error) { return "", errNoKeys }

// SetNodeKey keeps none.
func (o *Own) SetNodeKey(context.Context, string, plc.Secret) error { return errNoKeys }

// Timeout is how long a write may take whose answer was lost: our own store answers at once.
func (o *Own) Timeout() time.Duration { return 10 * time.Second }
