// Package notify writes what Monitor tells people and sends it by mail. Notices are plain data, their texts are
// templates, and the sender says for each recipient what became of the message.
package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
)

// Kind says what a notice is about.
type Kind string

// The kinds of notices, besides those about an issue: each type has a kind of its own, issue.Type.NoticeKind, with its words in the
// template that is named like it.
const (
	Down    Kind = "down"    // nodes are down
	PCUDown Kind = "pcudown" // power control units do not work
	Penalty Kind = "penalty" // the site's penalty level was raised to Notice.Level
	Online  Kind = "online"  // what was down is back: thanks
	Cleared Kind = "cleared" // back, and every penalty is gone
	Flagged Kind = "flagged" // Monitor has done what it can: to the admins
	Resumed Kind = "resumed" // the time that an answer of the site had gained is over
	Warn    Kind = "warning" // the level would be raised, and nobody was told yet
	Eased   Kind = "eased"   // the level was lowered, and not to 0
	ByHand  Kind = "byhand"  // the power is to be switched by people: to the admins

	Held     Kind = "held"     // the fleet guard believes nothing of a sweep: to the admins
	Doubted  Kind = "doubted"  // it does not believe that so many issues of one type are real: to the admins
	Repaired Kind = "repaired" // a penalty was lifted by hand and is applied again: to the admins
)

// Notice is one message to the people of a site, or to the admins, before it is put into words.
type Notice struct {
	Kind     Kind      // of every item that does not name another
	Site     string    // login base, such as "princeton"
	SiteName string    // such as "Princeton University"; may be empty
	Level    int       // the site's penalty level when the notice is written: 0, 1 or 2
	At       time.Time // when it is written; its zone is the zone of every time in the text

	Items     []Item
	Coming    []site.Coming // what happens next, unless something changes
	Open      int           // issues of the site that stay open, whether or not they are among the items
	HowToStop string        // how the reader may stop the clock; a general answer stands in for an empty one
	// ReplyHolds is how long an answer to this message holds further limits back by itself; 0 when nobody reads it for us.
	ReplyHolds time.Duration

	To         []string
	MessageID  string // from [MessageID], the same on every try
	InReplyTo  string
	References []string
}

// Item is one issue that a notice speaks of.
type Item struct {
	Kind     Kind   // what is said of it, when not the notice's kind
	Issue    string // such as "nodedown/planetlab1.princeton.edu"
	Type     string // the type of the issue, such as "nodedown"
	Target   string // the node or PCU
	Since    time.Time
	Evidence []string     // what Monitor saw, one fact a line
	Deeds    []issue.Deed // what Monitor did about it
	Advice   string       // one of the advices; the text of the type stands in for an empty one
	Fix      string       // what an admin can do, in words, where no text says it
	Also     []string     // types of other issues of the same target: it has one entry
}

// Message is a notice in words, ready for [Sender.Send].
type Message struct {
	Subject string
	Text    string
	To      []string
	// Only, unless empty, limits delivery to these of To: those that a first try left over. The header still names all.
	Only []string

	MessageID  string
	InReplyTo  string
	References []string
	At         time.Time
	Kind       Kind
}

// MessageID makes the Message-ID of whatever key names: the same key gives the same ID, so that a mail that is sent
// twice by accident is shown once. Domain is a mail domain, such as that of the sender.
func MessageID(key, domain string) string {
	sum := sha256.Sum256([]byte(key))
	if domain = domainChars.ReplaceAllString(domain, ""); domain == "" {
		domain = "monitor.invalid"
	}
	return fmt.Sprintf("<monitor.%s@%s>", hex.EncodeToString(sum[:16]), domain)
}

// Domain is the domain of a mail address, or "" if it has none.
func Domain(address string) string {
	a, err := mail.ParseAddress(address)
	if err != nil {
		return ""
	}
	return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
}

var (
	domainChars = regexp.MustCompile(`[^A-Za-z0-9.-]`)
	idForm      = regexp.MustCompile(`^<[!-;=?-~]+@[!-;=?-~]+>$`)
)
