package site

import "time"

// ReadRequest asks what the store and PLC say of a site.
type ReadRequest struct {
	Site  string `json:"site"`
	Key   string `json:"key"`
	Level int    `json:"level"` // what the site believes is in force
	Want  int    `json:"want"`
	// Applied is what the site remembers of its steps, for a store that has forgotten them.
	Applied []Applied `json:"applied,omitempty"`
}

// StepRequest asks for a step of a site's level.
type StepRequest struct {
	Site      string    `json:"site"`
	Key       string    `json:"key"`
	From      int       `json:"from"`
	To        int       `json:"to"`
	LastRaise time.Time `json:"last_raise,omitzero"`
	Warned    *Warning  `json:"warned,omitempty"` // what people were told of it
	Reason    string    `json:"reason"`
}

// MailRequest asks for a message: what is said of the notices is decided now, by what holds now.
type MailRequest struct {
	Site    string   `json:"site"`
	Key     string   `json:"key"`
	Level   int      `json:"level"`    // in force
	Reaches int      `json:"audience"` // the level whose people get it: good news reaches everybody who got the bad
	Open    int      `json:"open"`     // issues that are open, and thanks that are still to be said
	Notices []Notice `json:"notices"`
	Threat  *Threat  `json:"threat,omitempty"` // the next step, if one may come
	Coming  []Coming `json:"coming,omitempty"`
	Pause   *Pause   `json:"pause,omitempty"`
	Holds   []Hold   `json:"holds,omitempty"` // all of them
	Ticket  Ticket   `json:"ticket,omitzero"`
	Thread  []string `json:"thread,omitempty"` // Message-IDs of earlier mail
	// ReplyPause is how long an answer holds the level.
	ReplyPause time.Duration `json:"reply_pause,omitempty"`
}

// LateRequest asks for a message once more, for each of the people who have not got it.
type LateRequest struct {
	Site  string    `json:"site"`
	Key   string    `json:"key"` // of the message
	To    []string  `json:"to"`
	Tries int       `json:"tries"`
	Last  bool      `json:"last,omitempty"` // there is no other try after this one
	Since time.Time `json:"since"`
}

// TicketRequest is about a site's ticket.
type TicketRequest struct {
	Site   string `json:"site"`
	Key    string `json:"key,omitempty"`
	Ticket Ticket `json:"ticket"`
	Level  int    `json:"level"`
	Pause  *Pause `json:"pause,omitempty"`
}

// Read is the request of a ReadBack.
func (s State) Read(key string) ReadRequest {
	return ReadRequest{Site: s.Site, Key: key, Level: s.Level, Want: s.Wanted(), Applied: s.Applied}
}

// Move is the request of a Raise or Lower.
func (s State) Move(step Step) StepRequest {
	return StepRequest{Site: s.Site, Key: step.Key, From: s.Level, To: step.To, LastRaise: s.LastRaise,
		Warned: s.Warned, Reason: s.Why()}
}

// Write is the request of a Mail.
func (s State) Write(now time.Time) MailRequest {
	r := MailRequest{Site: s.Site, Key: s.Letter.Key, Level: s.Level, Notices: s.Letter.Notices,
		Threat: s.Letter.Threat, Coming: s.Coming(now), Pause: s.Pause,
		Ticket: s.Ticket, Thread: s.Thread, ReplyPause: s.Times.ReplyPause}
	r.Open, r.Reaches = len(s.Holds), s.Letter.Reaches
	for _, n := range s.Pending { // what is still to be said is still open
		if Ends(n.Kind) {
			r.Open++
		}
	}
	for _, h := range s.holds() {
		h.Coming = nil
		r.Holds = append(r.Holds, h)
	}
	return r
}

// Chase is the request of a MailLate.
func (s State) Chase(now time.Time, l Late) LateRequest {
	return LateRequest{Site: s.Site, Key: l.Key, To: l.To, Tries: l.Tries, Since: l.Since,
		Last: now.Sub(l.Since)+s.Times.Day/2 > lateFor*s.Times.Day}
}

// OnTicket is the request of what a site does with its ticket.
func (s State) OnTicket(key string) TicketRequest {
	return TicketRequest{Site: s.Site, Key: key, Ticket: s.Ticket, Level: s.Level, Pause: s.Pause}
}
