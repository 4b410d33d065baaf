package rt

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/clean"
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

// Correspond writes to the people on a ticket once: when the robot has written since p.After, an earlier try got through
// and nothing is sent again. It returns the ticket as it is then and the number of the reply, for the next Place.
func (c *Client) Correspond(ctx context.Context, p Place, m Message) (Ticket, int, error) {
	body := map[string]any{"Content": m.Text, "ContentType": "text/plain"}
	if m.Subject != "" {
		body["Subject"] = oneLine(m.Subject)
	}
	t, err := c.Ticket(ctx, p.Ticket)
	if err != nil {
		return t, 0, err
	}
	if t.Status == Rejected || t.Status == Deleted { // a reply would bring back what people have put away
		return t, 0, &Error{Failure: Missing, Call: fmt.Sprintf("POST ticket/%d/correspond", p.Ticket),
			Text: "people have set it to " + t.Status}
	}
	return c.write(ctx, p, typeCorrespond, body, m.Cc, m.Without)
}

// Comment leaves a note for those who work on a ticket; the watchers do not see it. It is written once, as a reply is.
func (c *Client) Comment(ctx context.Context, p Place, text string) (int, error) {
	_, id, err := c.write(ctx, p, typeComment, map[string]any{"Content": text, "ContentType": "text/plain"}, nil, nil)
	return id, err
}

// write looks at the history before it speaks. It cannot hold the ticket still with If-Match: RT 5.0 answers 412 to that on
// correspond and comment whatever it says. So two tries must not overlap; the time limit of a call sees to that.
func (c *Client) write(ctx context.Context, p Place, kind string, body map[string]any, cc, without []string) (Ticket, int, error) {
	t, err := c.watch(ctx, p.Ticket, cc, without)
	if err != nil {
		return t, 0, err
	}
	events, err := c.History(ctx, p.Ticket, p.After)
	if err != nil {
		return t, 0, err
	}
	subject, _ := body["Subject"].(string)
	if i := slices.IndexFunc(events, func(e Event) bool { return e.Type == kind && e.By == p.Robot && e.about(subject) }); i >= 0 {
		return t, events[i].ID, nil
	}
	header, err := c.call(ctx, http.MethodPost, fmt.Sprintf("ticket/%d/%s", p.Ticket, strings.ToLower(kind)), body, nil, 0)
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

// about says that a letter has this subject. In a ticket that people merged with another the robot has also written about that one.
func (e Event) about(subject string) bool {
	return subject == "" || e.Subject == "" || strings.HasPrefix(clean.Line(subject), strings.TrimSuffix(e.Subject, " ..."))
}

// Replies are what people wrote to a ticket after an id, oldest first. Neither the robot's own mail nor RT's is one, nor is
// a status that turned "open", since any mail does that, nor what a program answered in somebody's absence.
func (c *Client) Replies(ctx context.Context, p Place) ([]Event, error) {
	letters, err := c.Letters(ctx, p)
	return letters.Replies, err
}
