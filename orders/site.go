package orders

import (
	"context"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/workflows"
)

// Site gives an order to the workflow of a site: it holds the penalty where it is, or lets it rise again.
func (d Desk) Site(ctx context.Context, o Order, name issue.Order, login string,
	w Words) (Receipt, workflows.SiteAnswer, error) {
	var s workflows.SiteAnswer
	a := act{verb: access.Verb("site." + string(name)), site: login, target: login, words: map[string]any{}}
	a.does = string(name) + " the penalty of site " + login
	if !w.Until.IsZero() {
		a.words["until"] = w.Until.UTC().Format(time.RFC3339)
		a.does += " until " + w.Until.UTC().Format(time.RFC3339)
	}
	id, c := site.ID(login), issue.Command{By: o.by(), Reason: o.reason(), Until: w.Until}
	a.do = func(ctx context.Context, key string) (string, error) {
		absent := notFound("no issue asks anything of site %s, so there is nothing to %s: see `monitor site show %s`, and "+
			"`monitor exempt set site` to keep Monitor away", login, name, login)
		_, err := d.update(ctx, id, string(name), key, c, &s)
		if err := answered(id, err, absent); err != nil {
			return "", err
		}
		if s.TooLate != "" {
			return string(name) + " came too late: " + s.TooLate, nil
		}
		return "", nil
	}
	r, err := d.give(ctx, o, a)
	return r, s, err
}
