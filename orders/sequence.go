package orders

import (
	"context"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/store"
)

// Teach says what a boot sequence calls for from now on.
func (d Desk) Teach(ctx context.Context, o Order, k bootman.Known) (Receipt, error) {
	if err := k.Check(); err != nil {
		return Receipt{}, invalid("%w", err)
	}
	return d.give(ctx, o, act{
		verb: access.SequenceTeach, target: k.Sequence, does: "answer the boot sequence " + k.Sequence + " by " + string(k.Action),
		words: map[string]any{"action": k.Action}, effect: store.PutBootSequence(k, o.by()),
	})
}
