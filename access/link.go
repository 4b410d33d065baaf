package access

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Link is what a mailed link lets its holder do: what people of a site may, for one issue, until a time. Whoever has the
// link may use it, as whoever has the mail could answer it.
type Link struct {
	Issue   string // the issue, of which the link knows the episode that was open when it was made
	Site    string // login_base
	Made    time.Time
	Expires time.Time
}

// LinkGood is how long a link is good: about two messages long, since the next message has a new one.
const LinkGood = 14 * 24 * time.Hour

// Who is whoever holds the link, to the table of verbs and to the ledger.
func (l Link) Who(from string) Who {
	return Who{Account: "link mailed to " + l.Site, Role: Site, Sites: []string{l.Site}, From: from, SignIn: ByLink}
}

// Links makes links and reads them. The zero value makes none.
type Links struct{ key []byte }

// The ways in which a text is no good link.
var (
	ErrForged  = errors.New("this is no link of ours")
	ErrExpired = errors.New("this link is over")
)

// NewLinks takes a secret of 32 bytes that serves other purposes, too: what is signed here is worth nothing there.
func NewLinks(secret []byte) (Links, error) {
	if len(secret) < sha256.Size {
		return Links{}, fmt.Errorf("a key for links has %d bytes, not %d or more", len(secret), sha256.Size)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "links in mails", sha256.Size) // RFC 5869
	return Links{key}, err
}

// Any reports whether links can be made.
func (l Links) Any() bool { return len(l.key) > 0 }

// signature is 128 bits: what cannot be tried offline need not be longer.
const signature = 16

// Make writes a link as it stands in an address. It has no character that an address would escape.
func (l Links) Make(k Link) string {
	body := base64.RawURLEncoding.EncodeToString([]byte(strings.Join([]string{
		k.Issue, k.Site, strconv.FormatInt(k.Made.Unix(), 36), strconv.FormatInt(k.Expires.Unix(), 36),
	}, "\n")))
	return body + "." + base64.RawURLEncoding.EncodeToString(l.sign(body))
}

func (l Links) sign(body string) []byte {
	mac := hmac.New(sha256.New, l.key)
	mac.Write([]byte("1." + body)) // the version of the format
	return mac.Sum(nil)[:signature]
}

// Read takes a link apart, if it is one of ours and not over.
func (l Links) Read(text string, now time.Time) (k Link, err error) {
	body, sum, _ := strings.Cut(text, ".")
	given, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if !l.Any() || err != nil || !hmac.Equal(given, l.sign(body)) {
		return k, ErrForged
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	parts := strings.Split(string(raw), "\n")
	if err != nil || len(parts) != 4 {
		return k, ErrForged
	}
	made, errMade := strconv.ParseInt(parts[2], 36, 64)
	expires, errExpires := strconv.ParseInt(parts[3], 36, 64)
	if errors.Join(errMade, errExpires) != nil {
		return k, ErrForged
	}
	k = Link{Issue: parts[0], Site: parts[1], Made: time.Unix(made, 0), Expires: time.Unix(expires, 0)}
	if !now.Before(k.Expires) {
		return k, ErrExpired
	}
	return k, nil
}

// LinkKey names the one order of a kind that a link gives, for the ledger: what is sent again is not given again.
func LinkKey(text, order string) string {
	sum := sha256.Sum256([]byte(text))
	return order + "/" + hex.EncodeToString(sum[:12])
}
