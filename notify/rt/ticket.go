package rt

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/planetlab/monitor/clean"
)

// The statuses of RT's default lifecycle that matter here.
const (
	Resolved = "resolved"
	Rejected = "rejected"
	Deleted  = "deleted"
)

// Closed says that a ticket with this status is not worked on any more.
func Closed(status string) bool { return status == Resolved || status == Rejected || status == Deleted }

// Ticket is what a robot needs to know of one.
type Ticket struct {
	ID      int
	Subject string
	Status  string
	Creator string   // who made it: the robot's own name, for the tickets it made
	Cc      []string // names or mail addresses, as RT knows them
	Version int      // id of its last transaction
	Merged  int      // the ticket that people merged it into, which is theirs; 0: it stands alone
}

// Opening is a ticket to be made.
type Opening struct {
	Reference string // names what the ticket is about, such as "monitor:princeton": one open ticket at a time has it
	Key       string // names this message, so that a try whose answer was lost is recognised
	Subject   string
	Text      string
	Cc        []string
}

// mark is what the subject of a ticket carries, so that it is found again.
func (n Opening) mark() string { return "[" + n.Reference + ":" + n.Key + "]" }

// Open makes a ticket, unless there is an open one of the same reference. Said tells whether the text stands in it: a ticket
// that another message made is answered as it is.
func (c *Client) Open(ctx context.Context, n Opening) (t Ticket, said bool, err error) {
	if n.Reference == "" || n.Key == "" || strings.ContainsAny(n.Reference+n.Key, "[]'\\%\"\n") {
		return Ticket{}, false, fmt.Errorf("request tracker: reference %q or key %q cannot be searched for", n.Reference, n.Key)
	}
	id, subject, err := c.find(ctx, n.Reference)
	if err != nil {
		return Ticket{}, false, err
	}
	if id != 0 {
		t, err := c.Ticket(ctx, id)
		return t, strings.Contains(subject, n.mark()), err
	}
	var made struct{ ID any }
	body := map[string]any{"Queue": c.queue, "Subject": oneLine(n.Subject) + " " + n.mark(), "Content": n.Text, "ContentType": "text/plain", "Cc": watchables(n.Cc)}
	if _, err := c.call(ctx, http.MethodPost, "ticket", body, &made, 0); err != nil {
		return Ticket{}, false, err
	}
	id, err = strconv.Atoi(fmt.Sprint(made.ID)) // a string here, an int elsewhere
	if err != nil {
		return Ticket{}, false, &Error{Failure: Ambiguous, Call: "POST ticket", Code: http.StatusCreated, Text: "the new ticket has no number"}
	}
	t, err = c.Ticket(ctx, id)
	return t, err == nil, err
}

// own is the condition that the token's user made a ticket. Anybody may send a mail with our mark in its subject, and so have a ticket of his
// with it; what we wrote would go to him, and his silence would count as the site's.
const own = "Creator = '__CurrentUser__'"

// find looks for an open ticket of ours by its reference; 0 means none. RT's LIKE ignores case, so the subject is read again here.
func (c *Client) find(ctx context.Context, reference string) (int, string, error) {
	query := fmt.Sprintf("Queue = '%s' AND "+own+" AND Subject LIKE '[%s:' AND Status != 'resolved' AND Status != 'rejected' AND Status != 'deleted'",
		strings.ReplaceAll(c.queue, "'", "\\'"), reference)
	var list struct {
		Items []struct {
			ID      any
			Subject string
			Status  string
		}
	}
	path := "tickets?" + url.Values{"query": {query}, "fields": {"Subject,Status"}, "orderby": {"id"}, "per_page": {"100"}}.Encode()
	if _, err := c.call(ctx, http.MethodGet, path, nil, &list, 0); err != nil {
		return 0, "", err
	}
	for _, item := range list.Items {
		id, err := strconv.Atoi(fmt.Sprint(item.ID))
		if err == nil && strings.Contains(item.Subject, "["+reference+":") && !Closed(item.Status) {
			return id, item.Subject, nil
		}
	}
	return 0, "", nil
}

// Check tries whether the token may search the queue, as it must before each ticket.
func (c *Client) Check(ctx context.Context) error {
	_, _, err := c.find(ctx, "nobody's")
	return err
}

// mostWatchers bounds what is read of a ticket's people.
const mostWatchers = 10_000

// Ticket reads a ticket.
func (c *Client) Ticket(ctx context.Context, id int) (Ticket, error) {
	type user struct{ ID string }
	var r struct {
		ID              any
		Subject, Status string
		Creator         user
		Cc              []user
	}
	header, err := c.call(ctx, http.MethodGet, fmt.Sprintf("ticket/%d", id), nil, &r, 0)
	if err != nil {
		return Ticket{}, err
	}
	is, err := strconv.Atoi(fmt.Sprint(r.ID))
	if err != nil || is < 1 {
		return Ticket{}, &Error{Failure: Away, Call: fmt.Sprintf("GET ticket/%d", id), Code: http.StatusOK,
			Text: "the answer is no ticket"}
	}
	t := Ticket{ID: id, Subject: clean.Line(r.Subject), Status: clean.Line(r.Status), Creator: clean.Line(r.Creator.ID)}
	for _, u := range r.Cc[:min(len(r.Cc), mostWatchers)] {
		if clean.Is(u.ID, clean.MaxLine) { // what is no address is nobody that we added
			t.Cc = append(t.Cc, u.ID)
		}
	}
	if is != id {
		t.Merged = is
	}
	t.Version, err = strconv.Atoi(strings.Trim(header.Get("ETag"), `W/"`))
	if err != nil || t.Version < 0 {
		return t, &Error{Failure: Away, Call: fmt.Sprintf("GET ticket/%d", id), Code: http.StatusOK, Text: "the answer has no ETag"}
	}
	return t, nil
}

// SetStatus changes the status of a ticket and reads it back, since RT answers 200 to a change that it refuses. One that
// people merged into theirs is theirs to end.
func (c *Client) SetStatus(ctx context.Context, id int, status string) error {
	t, err := c.Ticket(ctx, id)
	if err != nil {
		return err
	}
	if t.Merged != 0 {
		return &Error{Failure: Refused, Call: fmt.Sprintf("PUT ticket/%d", id),
			Text: fmt.Sprintf("people merged it into ticket %d, which is not ours to change", t.Merged)}
	}
	_, err = c.change(ctx, id, func(t Ticket) map[string]any {
		if t.Status == status {
			return nil
		}
		return map[string]any{"Status": status}
	}, func(t Ticket) string {
		if t.Status != status {
			return "the status is still " + t.Status
		}
		return ""
	})
	return err
}

// Watchable says that RT can take somebody as a watcher. An address that is not ASCII it drops in silence from a new ticket, as what is no
// address at all, and dies of either in a change: one of them would cost all others their mail.
func Watchable(person string) bool {
	a, err := mail.ParseAddress(person)
	return err == nil && a.Address == person && !strings.ContainsFunc(person, func(r rune) bool { return r > unicode.MaxASCII })
}

func watchables(people []string) []string {
	return slices.DeleteFunc(slices.Clone(people), func(p string) bool { return !Watchable(p) })
}

// watch adds people to those who get a copy and keeps everybody who is there, but for those who must not be written to.
func (c *Client) watch(ctx context.Context, id int, people, without []string) (Ticket, error) {
	var before []string
	exempt := func(p string) bool {
		return slices.ContainsFunc(without, func(w string) bool { return strings.EqualFold(w, p) })
	}
	return c.change(ctx, id, func(t Ticket) map[string]any {
		before = slices.DeleteFunc(slices.Clone(t.Cc), exempt)
		more := slices.DeleteFunc(t.Missing(people), func(p string) bool { return !Watchable(p) || exempt(p) })
		if len(more) == 0 && len(before) == len(t.Cc) {
			return nil
		}
		return map[string]any{"Cc": append(slices.Clone(before), more...)}
	}, func(t Ticket) string {
		for _, was := range before {
			if !slices.Contains(t.Cc, was) {
				return "a watcher was lost: " + was
			}
		}
		if i := slices.IndexFunc(t.Cc, exempt); i >= 0 {
			return "an exempt person is still a watcher: " + t.Cc[i]
		}
		return ""
	})
}

// change reads a ticket, changes it unless somebody else does at the same moment, and reads it back. It looks again after
// such a conflict; to want nothing is no change.
func (c *Client) change(ctx context.Context, id int, want func(Ticket) map[string]any, wrong func(Ticket) string) (Ticket, error) {
	for try := 1; ; try++ {
		t, err := c.Ticket(ctx, id)
		if err != nil {
			return t, err
		}
		body := want(t)
		if body == nil {
			return t, nil
		}
		var said []string
		_, err = c.call(ctx, http.MethodPut, fmt.Sprintf("ticket/%d", id), body, &said, t.Version)
		if FailureOf(err) == Conflict && try < 5 {
			continue
		}
		if err != nil {
			return t, err
		}
		if t, err = c.Ticket(ctx, id); err != nil {
			return t, err
		}
		if text := wrong(t); text != "" {
			return t, &Error{Failure: Refused, Call: fmt.Sprintf("PUT ticket/%d", id), Code: http.StatusOK, Text: c.plain(text + ": " + strings.Join(said, "; "))}
		}
		return t, nil
	}
}

// Missing lists those of the people who are not watchers of a ticket, or whom RT knows by another name.
func (t Ticket) Missing(people []string) []string {
	var missing []string
	for _, p := range people {
		if !slices.ContainsFunc(t.Cc, func(have string) bool { return strings.EqualFold(have, p) }) {
			missing = append(missing, p)
		}
	}
	return missing
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Event is one transaction of a ticket.
type Event struct {
	ID      int
	Type    string // Create, Correspond, Comment, Status, AddWatcher, ...
	By      string
	At      time.Time
	Subject string // of what was written, where RT tells it
}

// mostPages bounds a history; a hundred transactions are a page.
const mostPages = 500

// History reads a ticket's transactions above an id, oldest first. RT tells how many pages there are only to those who may see
// everything, so the others read until a page is empty.
func (c *Client) History(ctx context.Context, id, after int) ([]Event, error) {
	var events []Event
	for page := 1; page <= mostPages; page++ {
		var list struct {
			Pages int
			Items []struct {
				ID      any
				Type    string `json:"Type"`
				Is      string `json:"type"` // always "transaction"; without a place of its own it would land in Type
				Created string
				Creator struct{ ID string }
				Data    any
			}
		}
		path := fmt.Sprintf("ticket/%d/history?fields=Type,Creator,Created,Data&per_page=100&page=%d", id, page)
		if _, err := c.call(ctx, http.MethodGet, path, nil, &list, 0); err != nil {
			return nil, err
		}
		for _, item := range list.Items {
			n, err := strconv.Atoi(fmt.Sprint(item.ID))
			if err != nil {
				return nil, &Error{Failure: Away, Call: fmt.Sprintf("GET ticket/%d/history", id), Text: "a transaction has no number"}
			}
			at, _ := time.Parse(time.RFC3339, item.Created) // the order is by number; a time that cannot be read is left out
			if n > after {
				e := Event{ID: n, Type: clean.Line(item.Type), By: clean.Line(item.Creator.ID), At: at}
				if subject, ok := item.Data.(string); ok {
					e.Subject = clean.Line(oneLine(subject))
				}
				events = append(events, e)
			}
		}
		if page == list.Pages || len(list.Items) == 0 {
			slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })
			return events, nil
		}
	}
	return nil, &Error{Failure: Refused, Call: fmt.Sprintf("GET ticket/%d/history", id), Text: "its history has no end"}
}
