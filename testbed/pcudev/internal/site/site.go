// Package site lets devices speak HTTP.
package site

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// Faults are those it can have.
func (s *Site) Faults() []device.Fault {
	list := slices.Concat(device.SpokenFaults(), s.Own)
	if s.Transport == "https" {
		list = append(list, device.TLSFaults()...)
	}
	return list
}

// Site is a device that speaks HTTP, on https over TLS with a certificate that it made itself.
type Site struct {
	device.Options
	device.Condition
	Own   []device.Fault // beside those of all
	Pages http.Handler
	Bare  func(c net.Conn, r io.Reader) // what begins with < rather than with a method; nil: there is no such thing
	cert  tls.Certificate
}

// New makes a device; mount gives it its pages.
func New(o device.Options, mount func(*Site)) (device.Device, error) {
	s := &Site{Options: o}
	if o.Transport == "https" {
		cert, err := selfSigned()
		if err != nil {
			return nil, err
		}
		s.cert = cert
	}
	mount(s)
	return s, nil
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "testbed"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Serve answers connections until the listener is closed.
func (s *Site) Serve(l net.Listener) error {
	return device.Accept(l, func(c net.Conn) {
		if s.Dead(c) {
			return
		}
		if s.Transport == "https" {
			config := &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS10}
			if s.Has(device.OldTLS) {
				config.MaxVersion = tls.VersionTLS10
			}
			t := tls.Server(c, config)
			if t.Handshake() != nil {
				return
			}
			c = t
		}
		r := bufio.NewReader(c)
		first, err := r.Peek(1)
		if err != nil {
			return
		}
		paced := pacedConn{c, r, s.Pace(c)}
		if first[0] == '<' && s.Bare != nil {
			s.Bare(paced, r)
			_ = c.Close()
			return
		}
		once := &onlyConn{conn: paced, closed: make(chan struct{})}
		_ = (&http.Server{Handler: s, ReadHeaderTimeout: time.Minute, ReadTimeout: time.Minute,
			IdleTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}).Serve(once)
	})
}

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if s.Has(device.Busy) && s.Bare == nil {
		http.Error(w, "Another user is logged in.", http.StatusServiceUnavailable)
		return
	}
	s.Pages.ServeHTTP(w, r)
}

// Knows reports whether name and password are right.
func (s *Site) Knows(user, password string) bool {
	return user == s.User && password == s.Password && !s.Has(device.WrongPassword)
}

// pacedConn is a connection of which some was read ahead, and that may be slow.
type pacedConn struct {
	net.Conn
	r io.Reader
	w io.Writer
}

func (c pacedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c pacedConn) Write(p []byte) (int, error) { return c.w.Write(p) }

// onlyConn is a listener of one connection, over when that is closed.
type onlyConn struct {
	conn   net.Conn
	given  bool
	once   sync.Once
	closed chan struct{}
}

// Accept gives the connection, and after it waits for its end.
func (l *onlyConn) Accept() (net.Conn, error) {
	if l.given {
		<-l.closed
		return nil, net.ErrClosed
	}
	l.given = true
	return lastConn{l.conn, l}, nil
}

// Close does nothing: the connection ends by itself.
func (l *onlyConn) Close() error { return nil }

// Addr is the connection's.
func (l *onlyConn) Addr() net.Addr { return l.conn.LocalAddr() }

type lastConn struct {
	net.Conn
	l *onlyConn
}

func (c lastConn) Close() error {
	defer c.l.once.Do(func() { close(c.l.closed) })
	return c.Conn.Close()
}

// Basic asks for a login before it shows pages.
func (s *Site) Basic(realm string, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); ok && s.Knows(user, password) {
			pages.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", realm))
		http.Error(w, "401 Authorization Required", http.StatusUnauthorized)
	})
}
