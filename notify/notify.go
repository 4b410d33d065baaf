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

// The kinds of notices, besides those about an issue: each type has a kind of its own, issue.Type.NoticeKind, with its
// words in the
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
	Gone    Kind = "gone"    // PLC does not have it any more, so that nothing more comes of it
	Closed  Kind = "closed"  // the operators have ended an issue by hand
	ByHand  Kind = "byhand"  // the power is to be switched by people: to the admins

	// Continued is the end of a pause that the operators had ordered; nobody at the site had asked for it.
	Continued Kind = "continued"
	// Digest tells the admins of all that one cause has brought within an hour.
	Digest Kind = "digest"

	Held     Kind = "held"     // the fleet guard believes nothing of a sweep: to the admins
	Doubted  Kind = "doubted"  // it does not believe that so many issues of one type are real: to the admins
	Repaired Kind = "repaired" // a penalty was lifted by hand and is applied again: to the admins
)

// Notice is one message to the people of a site, or to the admins, before it is put into words. It is the facts from
// which the words are made,
// and nothing else: package proof holds the words against it.
type Notice struct {
	Kind     Kind      `json:"kind,omitempty"`      // of every item that does not name another
	Site     string    `json:"site"`                // login base, such as "princeton"
	SiteName string    `json:"site_name,omitempty"` // such as "Princeton University"
	NoPLC    bool      `json:"no_plc,omitempty"`    // the fleet is not PLC's, and its people know no slices
	Level    int       `json:"level"`               // the site's penalty level when the notice is written: 0, 1 or 2
	At       time.Time `json:"at"`                  // when it is written; its zone is the zone of every time in the text

	Items     []Item        `json:"items"`
	Coming    []site.Coming `json:"coming,omitempty"`      // what happens next, unless something changes
	Open      int           `json:"open"`                  // what else stays open at the site, or is still to be said to it
	Still     []string      `json:"still,omitempty"`       // the machines of it that are still in trouble
	HowToStop string        `json:"how_to_stop,omitempty"` // how the reader may stop the clock; a general answer stands in for an empty one
	// ReplyHolds is how long an answer to this message holds further limits back by itself; 0 when nobody reads it for
	// us.
	ReplyHolds time.Duration `json:"reply_holds,omitempty"`
	// Announced is when the step that a penalty speaks of was announced, if each of those whom the message goes to had
	// that word.
	Announced time.Time `json:"announced,omitzero"`
	Unreached []string  `json:"unreached,omitempty"` // people of the site whom mail does not reach, each with the reason

	more bool // of a part of a notice: a later one says what is left of the matter

	To         []string `json:"to"`
	MessageID  string   `json:"message_id"` // from [MessageID], the same on every try
	InReplyTo  string   `json:"in_reply_to,omitempty"`
	References []string `json:"references,omitempty"`
}

// Item is one issue that a notice speaks of.
type Item struct {
	Kind     Kind         `json:"kind,omitempty"`  // what is said of it, when not the notice's kind
	Issue    string       `json:"issue,omitempty"` // such as "nodedown/planetlab1.princeton.edu"
	Type     string       `json:"type,omitempty"`  // the type of the issue, such as "nodedown"
	Target   string       `json:"target,omitempty"`
	Site     string       `json:"site,omitempty"` // whose it is, in a message about several sites
	Since    time.Time    `json:"since,omitzero"`
	Told     time.Time    `json:"told,omitzero"` // when people were last told of it
	Evidence []string     `json:"evidence,omitempty"`
	Deeds    []issue.Deed `json:"deeds,omitempty"`   // what Monitor did about it
	Advice   string       `json:"advice,omitempty"`  // one of the advices; the text of the type stands in for an empty one
	Fix      string       `json:"fix,omitempty"`     // what an admin can do, in words, where no text says it
	Also     []string     `json:"also,omitempty"`    // types of other issues of the same target: it has one entry
	Level    int          `json:"level,omitempty"`   // of a level that fell: what it was
	Ordered  string       `json:"ordered,omitempty"` // why the operators have a limit set by hand; empty: they have not
	By       string       `json:"by,omitempty"`      // of a pause that is over: who asked for it
	Why      string       `json:"why,omitempty"`     // of a level that fell: why, as a site.SpareKind
	Page     string       `json:"page,omitempty"`    // the address of its page at PLC
	Act      string       `json:"act,omitempty"`     // the address of the page where its people say that they are at it
	From     []string     `json:"from,omitempty"`    // the addresses from which Monitor looks at it, if they are told
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
	List       string // the stream that it belongs to: the site, or the admins
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
