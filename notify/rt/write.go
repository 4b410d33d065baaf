package rt

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Transactions by which people and robots speak.
const (
	typeCorrespond = "Correspond" // to everybody on the ticket
	typeComment    = "Comment"    // to those who work on it
)

// system is the user in whose name RT itself acts.
const system = "RT_System"

// Place is where on a ticket a robot has got to: its own name there, and the last transaction it knows of itself.
type Place struct {
	Ticket int
	Robot  string
	After  int
}

// Message is a reply to the watchers of a ticket.
type Message struct {
	Subject string // of the mail that RT sends; empty: the ticket's
	Text    string
	Cc      []string // added to the watchers first
	Without []string // taken from the watchers first
}

// Correspond writes to the people on a ticket once: when the robot has written since p.After, an earlier try got
// through and nothing is sent again. It returns the ticket as it is then and the number of the reply, for the next
// Place.
func (c *Client) Correspond(ctx context.Context, p Place, m Message) (Ticket, int, error) {
	body := map[string]any{"Content": m.Text, "ContentType": "text/plain"}
	if m.Subject != "" {
		body["Subject"] = oneLine(m.Subject)
	}
	return c.write(ctx, p, typeCorrespond, body, m.Cc, m.Without)
}

// Comment leaves a note for those who work on a ticket; the watchers do not see it. It is written once, as a reply is.
func (c *Client) Comment(ctx context.Context, p Place, text string) (int, error) {
	_, id, err := c.write(ctx, p, typeComment, map[string]any{"Content": text, "ContentType": "text/plain"}, nil, nil)
	return id, err
}

// write looks at the history before it speaks. It cannot hold the ticket still with If-Match: RT 5.0 answers 412 to
// that on correspond and comment whatever it says. So two tries must not overlap; the time limit of a call sees to
// that.
func (c *Client) write(
	ctx context.Context,
	p Place,
	kind string,
	body map[string]any,
	cc, without []string,
) (Ticket, int, error) {
	t, err := c.watch(ctx, p.Ticket, cc, without)
	if err != nil {
		return t, 0, err
	}
	events, err := c.History(ctx, p.Ticket, p.After)
	if err != nil {
		return t, 0, err
	}
	if i := slices.IndexFunc(events, func(e Event) bool { return e.Type == kind && e.By == p.Robot }); i >= 0 {
		return t, events[i].ID, nil
	}
	header, err := c.call(
		ctx,
		http.MethodPost,
		fmt.Sprintf("ticket/%d/%s", p.Ticket, strings.ToLower(kind)),
		body,
		nil,
		0,
	)
	if err != nil {
		return t, 0, err
	}
	where := header.Get("Location")
	n, err := strconv.Atoi(where[strings.LastIndexByte(where, '/')+1:])
	if err != nil { // written all the same; what it was before serves as well
		n = t.Version
	}
	return t, n, nil
}

// Replies are what people wrote to a ticket after an id, oldest first. Neither the robot's own mail nor RT's is one,
// nor is a status that turned "open", since any mail does that, nor what a program answered in somebody's absence.
func (c *Client) Replies(ctx context.Context, p Place) ([]Event, error) {
	events, err := c.History(ctx, p.Ticket, p.After)
	if err != nil {
		return nil, err
	}
	events = slices.DeleteFunc(
		events,
		func(e Event) bool { return e.Type != typeCorrespond || e.By == p.Robot || e.By == system },
	)
	var replies []Event
	for _, e := range events[max(0, len(events)-mostReplies):] {
		automatic, err := c.automatic(ctx, e.ID)
		if err != nil {
			return nil, err
		}
		if !automatic {
			replies = append(replies, e)
		}
	}
	return replies, nil
}

// mostReplies is how many letters are looked into: the last of them count.
const mostReplies = 50

// automatic reports whether a program wrote a letter, as a holiday responder does. A letter whose headers we may not
// read is a person's: a penalty that waits for nothing does less harm than one that comes in spite of an answer.
func (c *Client) automatic(ctx context.Context, transaction int) (bool, error) {
	var list struct{ Items []struct{ Headers string } }
	path := fmt.Sprintf("transaction/%d/attachments?fields=Headers&per_page=20", transaction)
	_, err := c.call(ctx, http.MethodGet, path, nil, &list, 0)
	switch FailureOf(err) {
	case Denied, Missing, Refused:
		return false, nil
	case "":
	default:
		return false, err
	}
	return slices.ContainsFunc(list.Items, func(a struct{ Headers string }) bool { return byProgram(a.Headers) }), err
}

// byProgram reads the headers by which programs say so: Auto-Submitted (RFC 3834), Precedence and X-Autoreply of older
// ones, and what RT itself has found.
func byProgram(headers string) bool {
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.ToLower(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "auto-submitted":
			if value != "" && value != "no" && !strings.HasPrefix(value, "no;") {
				return true
			}
		case "precedence":
			if value == "bulk" || value == "junk" || value == "auto_reply" {
				return true
			}
		case "x-autoreply", "x-autorespond", "rt-detectedautogenerated":
			if value != "" && value != "no" && value != "false" && value != "0" {
				return true
			}
		}
	}
	return false
}
