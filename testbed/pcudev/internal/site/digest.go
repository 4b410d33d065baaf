package site

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// DigestLock is Digest with qop auth and MD5 or SHA-256, as devices have it. It counts: an answer that was given before
// is no answer.
type DigestLock struct {
	S     *Site
	Realm string
	Basic bool // takes Basic, too

	Sha256 bool // hashes by that rather than by MD5

	mu     sync.Mutex
	counts map[string]uint64 // of the nonces given out
}

func (d *DigestLock) ask(w http.ResponseWriter, stale bool) {
	nonce := RandomHex(16)
	d.mu.Lock()
	if d.counts == nil || len(d.counts) > 100 {
		d.counts = map[string]uint64{}
	}
	d.counts[nonce] = 0
	d.mu.Unlock()
	w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Digest realm="%s", nonce="%s", stale="%v", qop="auth"%s`, d.Realm,
		nonce, stale, map[bool]string{true: ", algorithm=SHA-256"}[d.Sha256]))
	if d.Basic {
		w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Basic realm="%s"`, d.Realm))
	}
	http.Error(w, "401 Unauthorized", http.StatusUnauthorized)
}

// Guard asks for a login before it shows pages.
func (d *DigestLock) Guard(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, isBasic := r.BasicAuth()
		if d.Basic && isBasic && d.S.Knows(user, password) {
			pages.ServeHTTP(w, r)
			return
		}
		switch right, fresh := d.check(r); {
		case right && fresh:
			pages.ServeHTTP(w, r)
		default:
			d.ask(w, right)
		}
	})
}

var digestParameter = regexp.MustCompile(`(\w+)=(?:"([^"]*)"|([^,\s]+))`)

// check says whether the answer is right, and whether its nonce is one that still counts.
func (d *DigestLock) check(r *http.Request) (right, fresh bool) {
	header, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Digest ")
	if !ok {
		return false, false
	}
	p := map[string]string{}
	for _, m := range digestParameter.FindAllStringSubmatch(header, -1) {
		p[m[1]] = m[2] + m[3]
	}
	hash := md5Hex
	if d.Sha256 {
		hash = sha256Hex
	}
	ha1 := hash(d.S.User + ":" + d.Realm + ":" + d.S.Password)
	ha2 := hash(r.Method + ":" + p["uri"])
	want := hash(strings.Join([]string{ha1, p["nonce"], p["nc"], p["cnonce"], "auth", ha2}, ":"))
	right = p["username"] == d.S.User && p["response"] == want && p["uri"] == r.RequestURI &&
		!d.S.Has(device.WrongPassword)
	count, err := strconv.ParseUint(p["nc"], 16, 32)
	d.mu.Lock()
	defer d.mu.Unlock()
	last, known := d.counts[p["nonce"]]
	if fresh = known && err == nil && count > last; fresh {
		d.counts[p["nonce"]] = count
	}
	return right, fresh
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// RandomHex is so many random bytes in hexadecimal.
func RandomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}
