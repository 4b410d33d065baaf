package web

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net/http"

	"github.com/planetlab/monitor/clean"
)

// mostBody bounds what a form may send: a plan names at most some thousand issues.
const mostBody = 1 << 20

type contextKey int

const (
	nonceKey contextKey = iota
	viewerKey
	partKey
)

func nonceOf(ctx context.Context) string {
	nonce, _ := ctx.Value(nonceKey).(string)
	return nonce
}

// protect sets the headers that keep a browser from doing for others what it was not asked to, and bounds what comes in.
// A form must come from our own pages (Sec-Fetch-Site, else Origin: http.CrossOriginProtection).
func (s *Server) protect(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "this form did not come from Monitor's own pages", http.StatusForbidden)
	}))
	guarded := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce := newNonce()
		setHeaders(w.Header(), nonce, s.Secure)
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				s.Log.Error("a page broke", "path", clean.Line(r.URL.Path), slog.Any("panic", p))
				http.Error(w, "this page broke; Monitor's log says where", http.StatusInternalServerError)
			}
		}()
		guarded.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nonceKey, nonce)))
	})
}

// setHeaders allows a page our own files and nothing else. htmx needs its trusted type, and its elements carry the
// nonce of the page (package hx-csp of htmx): what comes in through a hostname or a log is never run.
func setHeaders(h http.Header, nonce string, tls bool) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "+
		"require-trusted-types-for 'script'; trusted-types htmx")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if tls {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
