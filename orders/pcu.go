package orders

import (
	"context"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/store"
)

// ForgetPCU lets a PCU that was replaced show a new host key or certificate.
func (d Desk) ForgetPCU(ctx context.Context, o Order, name string) (Receipt, error) {
	a, err := d.aboutTarget(ctx, answers.KindPCU, name)
	if err != nil {
		return Receipt{}, err
	}
	a.verb, a.effect = access.PCUForget, store.ErasePins(a.pcu)
	a.does = "let " + name + " show a new host key or certificate"
	return d.give(ctx, o, a)
}
