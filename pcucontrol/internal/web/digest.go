package web

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/planetlab/monitor/pcucontrol"
)

// Credentials answer what a device asked, for as long as it takes the answer.
type Credentials struct {
	Basic  bool
	digest map[string]string // the challenge's parameters
	cnonce string
	count  int // answers to this challenge so far
}

// none says that nobody was told who calls.
func (c *Credentials) none() bool { return !c.Basic && c.digest == nil }

// answerTo takes the first challenge that can be answered: Digest, or else Basic.
func answerTo(h http.Header) (c Credentials, ok bool) {
	for _, challenge := range h.Values("WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		if strings.EqualFold(scheme, "Basic") {
			c.Basic, ok = true, true
		}
		if p := parameters(rest); strings.EqualFold(scheme, "Digest") && digestHash(p["algorithm"]) != nil &&
			offersAuth(p["qop"]) {
			nonce := make([]byte, 8)
			_, _ = rand.Read(nonce) // it never fails
			return Credentials{digest: p, cnonce: hex.EncodeToString(nonce)}, true
		}
	}
	return c, ok
}

func offersAuth(qop string) bool {
	return qop == "" ||
		slices.ContainsFunc(strings.Split(qop, ","),
			func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), "auth") })
}

func digestHash(algorithm string) func() hash.Hash {
	switch strings.ToUpper(algorithm) {
	case "", "MD5", "MD5-SESS":
		return md5.New
	case "SHA-256", "SHA-256-SESS":
		return sha256.New
	}
	return nil
}

// header is the Authorization for one request.
func (c *Credentials) header(t pcucontrol.Target, method, uri string) string {
	if c.Basic {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(t.User, t.Password)
		return r.Header.Get("Authorization")
	}
	if c.digest == nil {
		return ""
	}
	c.count++
	return digest(c.digest, t.User, t.Password, method, uri, c.cnonce, c.count)
}

// again says whether a 401 is worth another answer: where the device says or it may be that only the nonce was too old.
func (c *Credentials) again(h http.Header) bool {
	if c.digest == nil {
		return !c.Basic
	}
	next, _ := answerTo(h)
	return c.count > 1 || strings.EqualFold(next.digest["stale"], "true")
}

// digest answers a Digest challenge (RFC 7616), by MD5 or SHA-256, with qop auth or, as in RFC 2069, none.
func digest(p map[string]string, user, password, method, uri, cnonce string, count int) string {
	algorithm := p["algorithm"]
	sum := func(parts ...string) string {
		h := digestHash(algorithm)()
		_, _ = io.WriteString(h, strings.Join(parts, ":"))
		return hex.EncodeToString(h.Sum(nil))
	}
	ha1 := sum(user, p["realm"], password)
	if strings.HasSuffix(strings.ToUpper(algorithm), "-SESS") {
		ha1 = sum(ha1, p["nonce"], cnonce)
	}
	ha2, nc := sum(method, uri), fmt.Sprintf("%08x", count)
	b := &strings.Builder{}
	fmt.Fprintf(b, `Digest username=%s, realm=%s, nonce=%s, uri=%s`, quoted(user), quoted(p["realm"]),
		quoted(p["nonce"]), quoted(uri))
	if p["qop"] == "" {
		fmt.Fprintf(b, `, response="%s"`, sum(ha1, p["nonce"], ha2))
	} else {
		fmt.Fprintf(b, `, qop=auth, nc=%s, cnonce="%s", response="%s"`, nc, cnonce,
			sum(ha1, p["nonce"], nc, cnonce, "auth", ha2))
	}
	if algorithm != "" {
		fmt.Fprintf(b, `, algorithm=%s`, algorithm)
	}
	if p["opaque"] != "" {
		fmt.Fprintf(b, `, opaque=%s`, quoted(p["opaque"]))
	}
	return b.String()
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(s) + `"`
}

// parameters reads name=value, name="value" lists. What is broken is left out.
func parameters(s string) map[string]string {
	p := map[string]string{}
	for {
		s = strings.TrimLeft(s, " ,\t")
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return p
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if !strings.HasPrefix(rest, `"`) {
			p[name], s, _ = strings.Cut(rest, ",")
			p[name] = strings.TrimSpace(p[name])
			continue
		}
		value, i := strings.Builder{}, 1
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			value.WriteByte(rest[i])
		}
		p[name], s = value.String(), rest[min(len(rest), i+1):]
	}
}
