package wire

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
)

// errUntrusted is a certificate that is not the known one, or that nobody vouches for.
type errUntrusted struct {
	fingerprint string
	why         string
}

func (e errUntrusted) Error() string {
	return fmt.Sprintf(
		"its certificate is not to be trusted: %s; its fingerprint is %s: insist on that one (--certificate), or "+
			"permit any (--legacy; of the worker, pcu.legacy)",
		e.why, e.fingerprint)
}

// tlsConfig trusts the known certificate and no other, if one is known. Else it trusts what the system trusts and,
// where the record permits old ways, whatever the device shows, for the caller to keep. The record also permits old
// versions and ciphers.
func tlsConfig(t pcucontrol.Target) *tls.Config {
	// VerifyConnection verifies
	c := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	if t.Legacy {
		c.MinVersion = tls.VersionTLS10
		for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			c.CipherSuites = append(c.CipherSuites, s.ID)
		}
	}
	c.VerifyConnection = func(state tls.ConnectionState) error {
		sum := sha256.Sum256(state.PeerCertificates[0].Raw)
		is := hex.EncodeToString(sum[:])
		if t.SeenCertificate != nil {
			t.SeenCertificate(is)
		}
		if known := strings.ReplaceAll(t.KnownCertificate, ":", ""); known != "" {
			if !strings.EqualFold(known, is) {
				return errUntrusted{is, "it is not the known one"}
			}
			return nil
		}
		if t.Legacy {
			return nil
		}
		if err := verifyChain(state, t.Host); err != nil {
			return errUntrusted{is, secret.Mask(err.Error(), t.Password)}
		}
		return nil
	}
	return c
}

func verifyChain(state tls.ConnectionState, host string) error {
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Intermediates: intermediates})
	return err
}

// DialTLS connects and shakes hands within ctx.
func DialTLS(ctx context.Context, t pcucontrol.Target) (net.Conn, error) {
	raw, err := Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, tlsConfig(t))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		if kind, detail, ok := tlsTrouble(t, err); ok {
			return nil, Fail(t, kind, Connecting, detail)
		}
		return nil, Lost(ctx, t, Connecting, err)
	}
	return conn, nil
}

// tlsTrouble is what is wrong where no TLS came about.
func tlsTrouble(t pcucontrol.Target, err error) (kind pcucontrol.Kind, detail string, ok bool) {
	var untrusted errUntrusted
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &untrusted):
		return pcucontrol.Refused, untrusted.Error(), true
	case errors.As(err, &record):
		return pcucontrol.Unexpected, "this port does not speak TLS", true
	case strings.Contains(err.Error(), "unsupported protocol version"),
		strings.Contains(err.Error(), "remote error: tls:"):
		detail = "no TLS in common: " + secret.Mask(err.Error(), t.Password)
		if !t.Legacy {
			detail += "; old versions are only for records that permit them (--legacy; of the worker, pcu.legacy)"
		}
		return pcucontrol.Refused, detail, true
	}
	return "", "", false
}
