package fakert

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

type object = map[string]any

func (s *Server) routes() {
	s.mux.HandleFunc("POST /REST/2.0/ticket", s.create)
	s.mux.HandleFunc("GET /REST/2.0/tickets", s.search)
	s.mux.HandleFunc("GET /REST/2.0/ticket/{id}", s.on(s.show))
	s.mux.HandleFunc("PUT /REST/2.0/ticket/{id}", s.on(s.update))
	s.mux.HandleFunc("GET /REST/2.0/ticket/{id}/history", s.on(s.history))
	s.mux.HandleFunc("GET /REST/2.0/transaction/{id}/attachments", s.attachments)
	s.mux.HandleFunc("POST /REST/2.0/ticket/{id}/correspond", s.on(s.speak("Correspond")))
	s.mux.HandleFunc("POST /REST/2.0/ticket/{id}/comment", s.on(s.speak("Comment")))
}

// ServeHTTP does one call at a time, and then sends the mail that it caused.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Connection", "close")
	switch {
	case s.away:
		http.Error(w, "RT is down for maintenance", http.StatusServiceUnavailable)
	case s.user(r) == "":
		complain(w, http.StatusUnauthorized)
	default:
		s.mux.ServeHTTP(w, r)
	}
	s.post()
}

func (s *Server) user(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "token ")
	return s.o.Users[token]
}

func complain(w http.ResponseWriter, code int) {
	reply(w, code, object{"message": http.StatusText(code)})
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// on finds the ticket of a path and minds If-Match.
func (s *Server) on(do func(http.ResponseWriter, *http.Request, *Ticket)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		t := s.ticket(id)
		switch want := r.Header.Get("If-Match"); {
		case t == nil:
			complain(w, http.StatusNotFound)
		case s.hidden[id] && strings.HasSuffix(r.URL.Path, "/history"): // RT says nothing rather than no
			reply(w, http.StatusOK, object{"items": []object{}, "count": 0, "total": nil, "page": 1, "pages": nil, "per_page": 20})
		case s.hidden[id]:
			complain(w, http.StatusForbidden)
		case want != "" && (want != etag(t) || r.Method == http.MethodPost): // RT 5.0 takes no If-Match for a reply
			complain(w, http.StatusPreconditionFailed)
		default:
			do(w, r, t)
		}
	}
}

func etag(t *Ticket) string { return fmt.Sprintf("%q", fmt.Sprint(t.History[len(t.History)-1].ID)) }

type body struct {
	Queue, Subject, Content, ContentType, Status string
	Cc                                           []string
	MergeInto                                    int
}

func read(w http.ResponseWriter, r *http.Request) (b body, ok bool) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(text, &b) != nil {
		complain(w, http.StatusBadRequest)
		return b, false
	}
	return b, true
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	b, ok := read(w, r)
	switch {
	case !ok:
		return
	case b.Queue == "":
		complain(w, http.StatusBadRequest)
		return
	case b.Queue != s.o.Queue:
		complain(w, http.StatusForbidden)
		return
	}
	t := &Ticket{ID: len(s.tickets) + 1, Subject: b.Subject, Status: "new", Creator: s.user(r), Cc: addresses(b.Cc)}
	s.tickets = append(s.tickets, t)
	s.add(t, "Create", t.Creator, b.Content)
	t.Created = t.History[0].At
	s.mail(t, "", b.Content)
	where := fmt.Sprintf("/REST/2.0/ticket/%d", t.ID)
	w.Header().Set("Location", where)
	reply(w, http.StatusCreated, object{"type": "ticket", "id": strconv.Itoa(t.ID), "_url": "http://" + r.Host + where})
}

// addresses drops what is none, in silence.
func addresses(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(a string) bool {
		parsed, err := mail.ParseAddress(a)
		return err != nil || parsed.Address != a || strings.ContainsFunc(a, func(r rune) bool { return r > unicode.MaxASCII })
	})
}

func (s *Server) show(w http.ResponseWriter, _ *http.Request, t *Ticket) {
	cc := []object{}
	for _, a := range t.Cc {
		cc = append(cc, object{"id": a, "type": "user"})
	}
	w.Header().Set("ETag", etag(t))
	reply(w, http.StatusOK, object{"id": t.ID, "type": "ticket", "Subject": t.Subject, "Status": t.Status, "Creator": object{"id": t.Creator, "type": "user"},
		"Cc": cc, "Created": t.Created, "LastUpdated": t.History[len(t.History)-1].At})
}

// update answers 200 whatever becomes of it, and replaces the watchers.
func (s *Server) update(w http.ResponseWriter, r *http.Request, t *Ticket) {
	b, ok := read(w, r)
	if !ok {
		return
	}
	said := []string{}
	if into := s.ticket(b.MergeInto); into != nil {
		s.merge(t, into)
		reply(w, http.StatusOK, []string{"Merge Successful"})
		return
	}
	if b.Status != "" && b.Status != t.Status {
		if slices.Contains([]string{"new", "open", "stalled", "resolved", "rejected", "deleted"}, b.Status) {
			said = append(said, fmt.Sprintf("Ticket %d: Status changed from '%s' to '%s'", t.ID, t.Status, b.Status))
			t.Status = b.Status
			s.add(t, "Status", s.user(r), "")
		} else {
			said = append(said, fmt.Sprintf("Ticket %d: Status '%s' isn't a valid status for this ticket.", t.ID, b.Status))
		}
	}
	if b.Cc != nil {
		cc := addresses(b.Cc)
		if len(cc) < len(b.Cc) {
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
			return
		}
		for _, a := range cc {
			if !slices.Contains(t.Cc, a) {
				said = append(said, "Added "+a+" as Cc for this ticket")
				s.add(t, "AddWatcher", s.user(r), "")
			}
		}
		for _, a := range t.Cc {
			if !slices.Contains(cc, a) {
				s.add(t, "DelWatcher", s.user(r), "")
			}
		}
		t.Cc = cc
	}
	reply(w, http.StatusOK, said)
}

func (s *Server) history(w http.ResponseWriter, r *http.Request, t *Ticket) {
	size, page := number(r, "per_page", 20), number(r, "page", 1)
	items := []object{}
	for _, e := range t.History[min((page-1)*size, len(t.History)):min(page*size, len(t.History))] {
		data := e.Subject
		if e.Type == "Correspond" {
			data += "\n"
		}
		items = append(items, object{"id": strconv.Itoa(e.ID), "type": "transaction", "Type": e.Type, "Created": e.At, "Data": data,
			"Creator": object{"id": e.By, "type": "user"}})
	}
	// As to everybody who may not see everything, the total stays unsaid.
	reply(w, http.StatusOK, object{"items": items, "count": len(items), "total": nil, "page": page, "pages": nil, "per_page": size})
}

// attachments lists the one part that a letter has here, with its headers.
func (s *Server) attachments(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id"))
	for _, t := range s.tickets {
		for _, e := range t.History {
			if e.ID == id {
				items := []object{{"id": strconv.Itoa(id), "type": "attachment", "ContentType": "text/plain", "Headers": e.Headers, "Content": e.Text}}
				if e.Report != "" {
					items = append(items, object{"id": strconv.Itoa(id) + "0", "type": "attachment", "ContentType": "message/delivery-status",
						"Headers": "Content-Type: message/delivery-status", "Content": e.Report})
				}
				reply(w, http.StatusOK, object{"items": items, "count": len(items), "total": len(items), "page": 1, "pages": 1, "per_page": 20})
				return
			}
		}
	}
	complain(w, http.StatusNotFound)
}

// merge makes one ticket of two: both answer as the second from then on.
func (s *Server) merge(t, into *Ticket) {
	if s.merged == nil {
		s.merged = map[int]int{}
	}
	s.merged[t.ID] = into.ID
	into.History = append(into.History, t.History...)
	slices.SortFunc(into.History, func(a, b Transaction) int { return a.ID - b.ID })
	for _, who := range t.Cc {
		if !slices.Contains(into.Cc, who) {
			into.Cc = append(into.Cc, who)
		}
	}
	s.add(into, "AddLink", "RT_System", "")
	t.Status = "resolved"
}

func number(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && n > 0 {
		return min(n, 100)
	}
	return otherwise
}

func (s *Server) speak(kind string) func(http.ResponseWriter, *http.Request, *Ticket) {
	return func(w http.ResponseWriter, r *http.Request, t *Ticket) {
		b, ok := read(w, r)
		if !ok {
			return
		}
		if b.ContentType == "" {
			complain(w, http.StatusBadRequest)
			return
		}
		var id int
		said := "Comments added"
		if kind == "Correspond" {
			said = "Correspondence added"
			id = s.correspond(t, s.user(r), b.Subject, b.Content)
		} else {
			id = s.add(t, kind, s.user(r), b.Content)
		}
		w.Header().Set("Location", fmt.Sprintf("/REST/2.0/transaction/%d", id))
		reply(w, http.StatusCreated, []string{said})
	}
}

var clause = regexp.MustCompile(`(?i)^\s*(Queue|Subject|Status|Creator)\s*(!=|=|LIKE)\s*'([^']*)'\s*$`)

// search knows conditions on Queue, Subject, Status and Creator, joined by AND.
func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	items := []object{}
	for _, t := range s.tickets {
		match, err := s.matches(t, s.user(r), r.URL.Query().Get("query"))
		if err != nil {
			reply(w, http.StatusBadRequest, object{"message": err.Error()})
			return
		}
		if match {
			items = append(items, object{"id": strconv.Itoa(t.ID), "type": "ticket", "Subject": t.Subject, "Status": t.Status})
		}
	}
	reply(w, http.StatusOK, object{"items": items, "count": len(items), "total": len(items), "page": 1, "pages": 1, "per_page": 100})
}

func (s *Server) matches(t *Ticket, who, query string) (bool, error) {
	for part := range strings.SplitSeq(query, " AND ") {
		m := clause.FindStringSubmatch(part)
		if m == nil {
			return false, fmt.Errorf("cannot read %q", part)
		}
		have := map[string]string{"queue": s.o.Queue, "subject": t.Subject, "status": t.Status, "creator": t.Creator}[strings.ToLower(m[1])]
		ok := have == strings.ReplaceAll(m[3], "__CurrentUser__", who)
		switch strings.ToUpper(m[2]) {
		case "!=":
			ok = !ok
		case "LIKE":
			ok = strings.Contains(strings.ToLower(have), strings.ToLower(m[3]))
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}
