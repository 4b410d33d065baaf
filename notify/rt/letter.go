package rt

import (
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strings"

	"github.com/planetlab/monitor/clean"
)

// Bounce is a letter by which a mail server says that it could not bring somebody his mail.
type Bounce struct {
	Event
	To  string // whom it could not reach
	Why string // in the words of that server
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
		if !slices.ContainsFunc(parts, func(p part) bool { return byProgram(p.Headers) }) {
			found.Replies = append(found.Replies, e)
			continue
		}
		for _, b := range bounces(parts) {
			b.Event = e
			found.Bounces = append(found.Bounces, b)
		}
	}
	return found, nil
}

// part is one of a letter's, as RT keeps them.
type part struct{ Headers, Content, ContentType string }

// parts reads a letter. One whose parts we may not read is a person's: a penalty that waits for nothing does less harm than
// one that comes in spite of an answer.
func (c *Client) parts(ctx context.Context, transaction int) ([]part, error) {
	var list struct{ Items []part }
	path := fmt.Sprintf("transaction/%d/attachments?fields=Headers,Content,ContentType&per_page=20", transaction)
	_, err := c.call(ctx, http.MethodGet, path, nil, &list, 0)
	switch FailureOf(err) {
	case Denied, Missing, Refused:
		return nil, nil
	}
	return list.Items, err
}

// mostBounces is how many people one letter may say are out of reach.
const mostBounces = 20

// bounces reads whom a letter of a mail server says it could not reach: from the report that servers add (RFC 3464), or from
// the header by which Exim says so. That something is late is no failure.
func bounces(parts []part) []Bounce {
	var list []Bounce
	add := func(to, why string) {
		a, err := mail.ParseAddress(strings.TrimSpace(to))
		same := func(b Bounce) bool { return err == nil && strings.EqualFold(b.To, a.Address) }
		if err != nil || !clean.Is(a.Address, clean.MaxLine) || len(list) >= mostBounces || slices.ContainsFunc(list, same) {
			return
		}
		list = append(list, Bounce{To: a.Address, Why: clean.Line(oneLine(why))})
	}
	for _, p := range parts {
		if p.ContentType == "message/delivery-status" {
			for block := range strings.SplitSeq(strings.ReplaceAll(p.Content, "\r\n", "\n"), "\n\n") {
				field := fields(block)
				if strings.EqualFold(field["action"], "failed") {
					_, to, _ := strings.Cut(field["final-recipient"], ";")
					_, why, found := strings.Cut(field["diagnostic-code"], ";")
					if !found {
						why = "status " + field["status"]
					}
					add(to, why)
				}
			}
		}
	}
	for _, p := range parts {
		for to := range strings.SplitSeq(fields(p.Headers)["x-failed-recipients"], ",") {
			add(to, "its mail server says that it cannot be delivered")
		}
	}
	return list
}

// fields reads headers by their names in lower case. A line that begins with a space belongs to the one before.
func fields(text string) map[string]string {
	all := map[string]string{}
	last := ""
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			all[last] += " " + strings.TrimSpace(line)
			continue
		}
		if found {
			last = strings.ToLower(strings.TrimSpace(name))
			all[last] = strings.TrimSpace(value)
		}
	}
	return all
}
