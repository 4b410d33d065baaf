package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/workflows"
)

// issues are the operations on issues.
func (s *server) issues(api huma.API) {
	op(s, api, route{method: http.MethodGet, path: "/issues", id: "listIssues", tag: "issues",
		about: "List issues: the open ones first, and the latest", verb: access.SeeIssues}, s.listIssues)
	op(s, api, route{method: http.MethodGet, path: "/issues/{type}/{target}", id: "getIssue", tag: "issues",
		about: "Read where an issue is, its story, and what was done", verb: access.SeeIssues}, s.issue)
	op(s, api, route{method: http.MethodPost, path: "/issues", id: "openIssue", tag: "issues", order: true,
		about: "Open an issue by hand, as a sweep would", verb: access.IssueOpen}, s.openIssue)
	for _, o := range []struct {
		name  issue.Order
		about string
	}{
		{issue.OrderPause, "Freeze an issue: nothing is done to its target, and nobody is written to"},
		{issue.OrderResume, "Let a paused issue go on where it was"},
		{issue.OrderClose, "Close an issue and release its hold on the site"},
		{issue.OrderSkip, "Pass over the next rung of an issue; the wait before it stays"},
		{issue.OrderVeto, "Pass over a coming step of an issue when it is due"},
		{issue.OrderAllow, "Take a veto back"},
	} {
		op(s, api, route{method: http.MethodPost, path: "/issues/{type}/{target}/" + string(o.name),
			id: string(o.name) + "Issue", tag: "issues", order: true, about: o.about,
			verb: access.Verb("issue." + string(o.name))},
			func(ctx context.Context, who access.Who, in *issueOrder) (*issueAnswer, error) {
				return s.orderIssue(ctx, who, in, func(o2 orders.Order) (orders.Receipt, workflows.Status, error) {
					return s.desk.Issue(ctx, o2, o.name, in.id(), orders.Words{Until: in.Body.Until, Step: in.Body.Step})
				})
			})
	}
	op(s, api, route{method: http.MethodPost, path: "/issues/{type}/{target}/pledge", id: "pledgeIssue", tag: "issues",
		order: true, about: "Promise to see to an issue until a time, which pauses it", verb: access.IssuePledge},
		func(ctx context.Context, who access.Who, in *issueOrder) (*issueAnswer, error) {
			return s.orderIssue(ctx, who, in, func(o orders.Order) (orders.Receipt, workflows.Status, error) {
				return s.desk.Pledge(ctx, o, in.id(), in.Body.Until)
			})
		})
}

func (s *server) listIssues(ctx context.Context, who access.Who, in *struct {
	Listing
	Closed bool      `query:"closed" doc:"The closed ones, too."`
	At     time.Time `query:"at" doc:"Those that were open then; now where it is missing."`
}) (*page[selection.Issue], error) {
	fields := selection.Issues(issueTypes())
	rows, _, err := s.Store.IssueRows(ctx, in.Closed, mostRead)
	if !in.At.IsZero() {
		fields = selection.IssuesAt(issueTypes())
		rows, _, err = s.Store.IssueRowsAt(ctx, in.At, mostRead)
	}
	if err != nil {
		return nil, err
	}
	return pageOf(s, who, table[selection.Issue]{access.SeeIssues, fields,
		func(i *selection.Issue) string { return i.Site },
		func(i *selection.Issue) string {
			over := 0
			if i.Status == string(issue.Closed) {
				over = 1
			}
			return fmt.Sprintf("%d%s\x01%s\x01%s", over, descending(i.Opened.UnixMicro()), i.ID, i.RunID)
		}}, in.Listing, rows)
}

// IssueID names an issue in a path.
type IssueID struct {
	Type   string `path:"type" maxLength:"40" doc:"The type of the issue, such as nodedown."`
	Target string `path:"target" maxLength:"255" doc:"The node, PCU or site that it is about."`
}

func (i IssueID) id() string { return i.Type + "/" + i.Target }

func (s *server) issue(ctx context.Context, who access.Who, in *IssueID) (*tagged[answers.Issue], error) {
	v, err := s.readIssue(ctx, who, in.id())
	if err != nil {
		return nil, err
	}
	return tag(v)
}

// readIssue reads an issue as this person may see it.
func (s *server) readIssue(ctx context.Context, who access.Who, id string) (answers.Issue, error) {
	if err := orders.CheckID(id); err != nil {
		return answers.Issue{}, err
	}
	v, err := answers.StoredIssue(ctx, s.Store, id)
	if err == nil && (v.Site == "" || access.Allowed(who, access.SeeIssues, v.Site)) {
		err = v.Live(ctx, s.Temporal, nil)
	}
	if err := seen(who, access.SeeIssues, v.Site, err); err != nil {
		return v, err
	}
	if !access.Allowed(who, access.SeeLedger, v.Site) {
		v.Actions = nil
	}
	return v, nil
}

// OrderParams are what every order takes beside its body.
type OrderParams struct {
	Key    string `header:"Idempotency-Key" maxLength:"200" doc:"Names this one order: sent again, it is not carried out again."`
	DryRun bool   `query:"dryRun" doc:"Say what the order would do, and do nothing."`
}

// Reason is what every order says.
type Reason struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Why; the ledger keeps it."`
	By     string `json:"by,omitempty" maxLength:"100" doc:"Who gives the order, beside the account of the token."`
}

func (o OrderParams) of(who access.Who, r Reason) orders.Order {
	who.Name = r.By
	return orders.Order{Who: who, Reason: r.Reason, Key: o.Key, DryRun: o.DryRun}
}

type issueOrder struct {
	IssueID
	OrderParams
	IfMatch string `header:"If-Match" maxLength:"1000" doc:"The ETag of the issue as it was seen."`
	Body    struct {
		Reason
		Until time.Time `json:"until,omitempty" doc:"Of a pause and a pledge: when it ends by itself."`
		Step  int       `json:"step,omitempty" minimum:"0" maximum:"100" doc:"Of a veto and its end: the step of the ladder, from 1."`
	}
}

// issueAnswer is what an order led to.
type issueAnswer struct {
	Body struct {
		orders.Receipt
		Issue *answers.Issue `json:"issue,omitempty" doc:"Where the issue stands now."`
	}
}

func (s *server) orderIssue(ctx context.Context, who access.Who, in *issueOrder,
	give func(orders.Order) (orders.Receipt, workflows.Status, error)) (*issueAnswer, error) {
	if in.IfMatch != "" {
		v, err := s.readIssue(ctx, who, in.id())
		if err == nil {
			err = unchanged(in.IfMatch, v)
		}
		if err != nil {
			return nil, err
		}
	}
	r, status, err := give(in.of(who, in.Body.Reason))
	if err != nil {
		return nil, err
	}
	out := &issueAnswer{}
	out.Body.Receipt = r
	if status.ID != "" {
		v := answers.NewIssue(in.id())
		v.RunID = r.Run
		v.Answer(status)
		out.Body.Issue = &v
	}
	return out, nil
}

type openAnswer struct {
	Status int
	Body   struct {
		orders.Receipt
		ID     string `json:"id"`
		Opened bool   `json:"opened" doc:"It was opened now; otherwise it was open already, or would only be."`
	}
}

func (s *server) openIssue(ctx context.Context, who access.Who, in *struct {
	OrderParams
	Body struct {
		Reason
		Type     string   `json:"type" maxLength:"40" doc:"The type of the issue, such as nodedown."`
		Target   string   `json:"target" maxLength:"255" minLength:"1" doc:"The node, PCU or site that it is about."`
		Cause    string   `json:"cause,omitempty" maxLength:"500" doc:"Why it is open; otherwise what the last sweep saw."`
		Evidence []string `json:"evidence,omitempty" maxItems:"20" doc:"Lines for the people who are told."`
	}
}) (*openAnswer, error) {
	b := in.Body
	r, opened, err := s.desk.Open(ctx, in.of(who, b.Reason), b.Type, b.Target, b.Cause, b.Evidence)
	if err != nil {
		return nil, err
	}
	out := &openAnswer{Status: http.StatusOK}
	out.Body.Receipt, out.Body.ID = r, opened.ID
	if opened.Run != "" && !opened.Before {
		out.Status, out.Body.Opened = http.StatusCreated, true
		out.Body.Run = opened.Run
	}
	return out, nil
}
