package rt

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/planetlab/monitor/notify/bounce"
)

// Bounce is a letter by which a mail server says that it could not bring somebody his mail.
type Bounce struct {
	Event
	bounce.Failure
}

// Letters are what came into a ticket since a place.
type Letters struct {
	Replies []Event // of people, the oldest first
	Bounces []Bounce
	Last    int // the number of the last letter that was looked into; 0: there was none
}

// mostReplies is how many letters are looked into: the last of them count.
const mostReplies = 50

// Letters reads what people and programs wrote to a ticket after an id. What a program answered in somebody's absence is no
// reply; what it says of a mailbox that is dead is evidence.
func (c *Client) Letters(ctx context.Context, p Place) (Letters, error) {
	var found Letters
	events, err := c.History(ctx, p.Ticket, p.After)
	if err != nil {
		return found, err
	}
	events = slices.DeleteFunc(events, func(e Event) bool {
		return e.Type != typeCorrespond || e.By == p.Robot || e.By == system
	})
	for _, e := range events[max(0, len(events)-mostReplies):] {
		parts, err := c.parts(ctx, e.ID)
		if err != nil {
			return Letters{}, err
		}
		found.Last = e.ID
		if !slices.ContainsFunc(parts, func(p bounce.Part) bool { return bounce.ByProgram(p.Headers) }) {
			found.Replies = append(found.Replies, e)
			continue
		}
		for _, f := range bounce.Failures(parts) {
			found.Bounces = append(found.Bounces, Bounce{Event: e, Failure: f})
		}
	}
	return found, nil
}

// parts reads a letter. One whose parts we may not read is a person's: a penalty that waits for nothing does less harm than
// one that comes in spite of an answer.
func (c *Client) parts(ctx context.Context, transaction int) ([]bounce.Part, error) {
	var list struct{ Items []bounce.Part }
	path := fmt.Sprintf("transaction/%d/attachments?fields=Headers,Content,ContentType&per_page=20", transaction)
	_, err := c.call(ctx, http.MethodGet, path, nil, &list, 0)
	switch FailureOf(err) {
	case Denied, Missing, Refused:
		return nil, nil
	}
	return list.Items, err
}
