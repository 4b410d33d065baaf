package testbed

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/smtp"
	"strings"
	"time"

	"github.com/planetlab/monitor/testbed/fakert"
)

// The account that Monitor has at the testbed's Request Tracker.
const (
	RTToken = "rt-s3cret"
	RTQueue = "planetlab"
)

// rtFrom is the address that tickets write from.
const rtFrom = "rt@plc.example"

// serveRT serves a Request Tracker that mails the watchers of its tickets.
func (w *World) serveRT(server string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server = cmp.Or(server, w.Mail.Addr())
	w.Tracker = fakert.New(fakert.Options{
		Users: map[string]string{RTToken: "monitor"}, Queue: RTQueue,
		Deliver: func(to []string, subject, text string) {
			message := fmt.Sprintf("From: Request Tracker <%s>\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <rt-%d@plc.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s",
				rtFrom, strings.Join(to, ", "), subject, time.Now().UTC().Format(time.RFC1123Z), time.Now().UnixNano(), strings.ReplaceAll(text, "\n", "\r\n"))
			if err := smtp.SendMail(server, nil, rtFrom, to, []byte(message)); err != nil {
				w.tell("", "the tracker's mail was lost: "+err.Error())
			}
		},
	})
	web := &http.Server{Handler: w.Tracker, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	go func() { _ = web.Serve(l) }()
	w.closes = append(w.closes, func() { _ = web.Close() })
	w.RT = "http://" + l.Addr().String()
	return nil
}

// Answer lets somebody at a site answer the site's ticket, and says whether there is one.
func (w *World) Answer(site, text string) bool {
	w.mu.Lock()
	w.tell(site, "tech@"+site+".example answers the ticket: "+text)
	w.mu.Unlock()
	return w.Tracker.Answer("[monitor:"+site+":", "tech@"+site+".example", text)
}
