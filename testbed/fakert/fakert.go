// Package fakert is a small Request Tracker: the part of REST2 that a robot uses, with its oddities, and mail to the watchers
// of a ticket. It is for the demo and the tests; the test of package rt holds it against the real one.
package fakert

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say who may call and what there is.
type Options struct {
	Users map[string]string // token -> name; the first name of an address is as good as any
	Queue string
	// Deliver gets the mail that a reply sends to the watchers of a ticket, as RT's scrips would; nil sends none.
	Deliver func(to []string, subject, text string)
}

// Ticket is one as it stands.
type Ticket struct {
	ID                       int
	Subject, Status, Creator string
	Cc                       []string
	Created                  time.Time
	History                  []Transaction
}

// Transaction is one line of a ticket's history.
type Transaction struct {
	ID       int
	Type, By string
	Text     string
	Subject  string
	Headers  string // of the mail that it came as
	Report   string // of a mail server, where the mail is one (message/delivery-status)
	At       time.Time
}

// Server is a running simulation; it is an http.Handler.
type Server struct {
	o   Options
	mux *http.ServeMux

	mu      sync.Mutex
	away    bool
	hidden  map[int]bool // tickets that the robot may not see
	merged  map[int]int  // tickets by those that people merged into them
	last    int          // transactions are numbered over all tickets, as in RT
	tickets []*Ticket
	mails   []func()
}

// New makes a server without tickets.
func New(o Options) *Server {
	s := &Server{o: o, mux: http.NewServeMux()}
	s.routes()
	return s
}

// Away makes the server answer 503 to everything, or brings it back.
func (s *Server) Away(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// Hide takes a ticket out of sight, as somebody does who moves it to a queue in which its callers have no rights; or brings it back.
func (s *Server) Hide(id int, hide bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hidden == nil {
		s.hidden = map[int]bool{}
	}
	s.hidden[id] = hide
}

// Bounce lets a mail server write to a ticket that it could not bring somebody his mail.
func (s *Server) Bounce(id int, to, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.post()
	t := s.ticket(id)
	at := s.correspond(t, "MAILER-DAEMON@mx.test", "Mail delivery failed", "no such user")
	i := slices.IndexFunc(t.History, func(e Transaction) bool { return e.ID == at })
	t.History[i].Headers = "Auto-Submitted: auto-replied"
	t.History[i].Report = "Reporting-MTA: dns; mx.test\n\nAction: failed\nFinal-Recipient: rfc822; " + to +
		"\nStatus: 5.1.1\nDiagnostic-Code: smtp; " + why + "\n"
}

// Tickets lists copies of all tickets, the oldest first.
func (s *Server) Tickets() []Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Ticket
	for _, t := range s.tickets {
		c := *t
		c.Cc, c.History = slices.Clone(t.Cc), slices.Clone(t.History)
		list = append(list, c)
	}
	return list
}

// Answer lets a human write to the newest ticket whose subject holds text, and says whether there is one.
func (s *Server) Answer(text, who, what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range slices.Backward(s.tickets) {
		if strings.Contains(t.Subject, text) {
			s.correspond(t, who, "", what)
			s.post()
			return true
		}
	}
	return false
}

// Letter takes a mail that came in, as RT's mail gateway would: it goes to the newest ticket that into chooses, or makes a ticket of its own.
// It returns the ticket's number.
func (s *Server) Letter(subject, from, headers, text string, into func(Ticket) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.post()
	for _, t := range slices.Backward(s.tickets) {
		if into != nil && into(*t) {
			id := s.correspond(t, from, subject, text)
			i := slices.IndexFunc(t.History, func(e Transaction) bool { return e.ID == id })
			t.History[i].Headers = headers
			return t.ID
		}
	}
	t := &Ticket{ID: len(s.tickets) + 1, Subject: subject, Status: "new", Creator: from, Cc: []string{from}}
	s.tickets = append(s.tickets, t)
	s.add(t, "Create", from, text)
	t.Created = t.History[0].At
	return t.ID
}

// correspond adds a reply; s.mu is held. Any reply, a robot's too, opens a ticket that was new or resolved.
func (s *Server) correspond(t *Ticket, by, subject, text string) int {
	id := s.add(t, "Correspond", by, text)
	t.History[len(t.History)-1].Subject = subject
	s.mail(t, subject, text)
	if t.Status != "open" && t.Status != "stalled" {
		t.Status = "open"
		s.add(t, "Status", "RT_System", "")
	}
	return id
}

func (s *Server) add(t *Ticket, kind, by, text string) int {
	s.last++
	t.History = append(t.History, Transaction{ID: s.last, Type: kind, By: by, Text: text, At: time.Now().UTC().Truncate(time.Second)})
	return s.last
}

func (s *Server) mail(t *Ticket, subject, text string) {
	if subject == "" {
		subject = t.Subject
	}
	if to := slices.Clone(t.Cc); s.o.Deliver != nil && len(to) > 0 {
		s.mails = append(s.mails, func() { s.o.Deliver(to, subject, text) })
		s.add(t, "EmailRecord", "RT_System", "")
	}
}

// post sends the mail that the last act caused; s.mu is held.
func (s *Server) post() {
	for _, send := range s.mails {
		send()
	}
	s.mails = nil
}

func (s *Server) ticket(id int) *Ticket {
	if into := s.merged[id]; into != 0 {
		id = into
	}
	if id < 1 || id > len(s.tickets) {
		return nil
	}
	return s.tickets[id-1]
}
