package notify

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/mailbox"
)

func server(t *testing.T, o mailbox.Options) *mailbox.Mailbox {
	t.Helper()
	box, err := mailbox.StartWith(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return box
}

func sender(t *testing.T, box *mailbox.Mailbox, change func(*Options)) *Sender {
	t.Helper()
	o := Options{
		Addr:    box.Addr(),
		From:    "PlanetLab Monitor <monitor@monitor.test>",
		ReplyTo: "help@monitor.test",
		TLS:     TLSNone,
		Mode:    ModeLive,
		Timeout: 10 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	s, err := NewSender(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(to ...string) Message {
	return Message{
		Subject: "café is down", Text: "Hello,\n\n.a line with a dot\n" + strings.Repeat("ö", 500) + "\n", To: to, MessageID: "<3@monitor.test>",
		InReplyTo: "<2@monitor.test>", References: []string{"<1@monitor.test>", "<2@monitor.test>"}, At: now, Kind: Down,
	}
}

func TestAMessageArrivesWhole(t *testing.T) {
	box := server(t, mailbox.Options{})
	m := message("a@x.test", "B <b@x.test>", "A@X.test")
	r, err := sender(t, box, nil).Send(t.Context(), m)
	if err != nil || !slices.Equal(r.Accepted, []string{"a@x.test", "b@x.test"}) ||
		len(r.Rejected)+len(r.Deferred) != 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	list := box.Messages()
	if len(list) != 1 {
		t.Fatalf("%d messages for one notice", len(list))
	}
	got := list[0]
	if got.Subject != m.Subject || got.Body != m.Text || got.MessageID != m.MessageID || got.InReplyTo != m.InReplyTo ||
		!slices.Equal(got.References, m.References) {
		t.Errorf("got %+v", got)
	}
	for header, want := range map[string]string{
		"From": `"PlanetLab Monitor" <monitor@monitor.test>`, "To": "<a@x.test>, <b@x.test>", "Reply-To": "<help@monitor.test>",
		"Date": "Tue, 24 Nov 2026 09:00:00 +0000", "Auto-Submitted": "auto-generated", "X-Monitor-Kind": "down",
	} {
		if h := got.Header[header]; len(h) != 1 || h[0] != want {
			t.Errorf("%s: got %q, want %q", header, h, want)
		}
	}
}

func TestOnlyTheLeftOverRecipientsAreTriedAgain(t *testing.T) {
	box := server(t, mailbox.Options{})
	box.Refuse("later@x.test", 450, "greylisted")
	box.Refuse("gone@x.test", 550, "no such user")
	s, m := sender(t, box, nil), message("a@x.test", "later@x.test", "gone@x.test", "not an address")
	r, err := s.Send(t.Context(), m)
	if FailureOf(err) != Temporary || !strings.Contains(err.Error(), "later@x.test: 450") {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(r.Accepted, []string{"a@x.test"}) || !slices.Equal(r.Left(), []string{"later@x.test"}) ||
		!strings.Contains(r.Rejected["gone@x.test"], "no such user") || r.Rejected["not an address"] == "" {
		t.Errorf("got %+v", r)
	}
	box.Accept("later@x.test")
	m.Only = r.Left()
	if r, err = s.Send(t.Context(), m); err != nil || !slices.Equal(r.Accepted, []string{"later@x.test"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	list := box.Messages()
	if len(list) != 2 || !slices.Equal(list[0].To, []string{"a@x.test"}) || !slices.Equal(list[1].To, []string{"later@x.test"}) ||
		list[0].MessageID != list[1].MessageID ||
		list[0].Header["To"][0] != list[1].Header["To"][0] {
		t.Errorf("got %+v", list)
	}
}

func TestNobodyNeverMeansEverybody(t *testing.T) {
	box := server(t, mailbox.Options{})
	s := sender(t, box, nil)
	stranger := message("a@x.test")
	stranger.Only = []string{"b@x.test"}
	for _, m := range []Message{message(), message("nonsense"), stranger} {
		if r, err := s.Send(t.Context(), m); FailureOf(err) != Permanent || len(r.Accepted) != 0 {
			t.Errorf("got %+v, %v", r, err)
		}
	}
	if n := len(box.Messages()); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestAllRejectedIsPermanent(t *testing.T) {
	box := server(t, mailbox.Options{})
	box.Refuse("gone@x.test", 550, "no such user")
	r, err := sender(t, box, nil).Send(t.Context(), message("gone@x.test"))
	if FailureOf(err) != Permanent || len(r.Rejected) != 1 || len(r.Left()) != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestWhatTheServerSaysToTheWholeMessageCounts(t *testing.T) {
	for code, want := range map[int]Failure{451: Temporary, 554: Permanent} {
		box := server(t, mailbox.Options{})
		box.RefuseData(code, "no")
		r, err := sender(t, box, nil).Send(t.Context(), message("a@x.test"))
		if FailureOf(err) != want || len(r.Accepted) != 0 || len(r.Deferred)+len(r.Rejected) != 1 ||
			(want == Permanent) != (len(r.Rejected) == 1) {
			t.Errorf("%d: got %+v, %v", code, r, err)
		}
	}
}

func TestAConnectionThatBreaksAfterTheMessageIsAmbiguous(t *testing.T) {
	box := server(t, mailbox.Options{})
	box.Drop(1)
	r, err := sender(t, box, nil).Send(t.Context(), message("a@x.test"))
	if FailureOf(err) != Ambiguous || len(r.Accepted) != 0 || len(r.Left()) != 1 || len(box.Messages()) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestAServerThatIsAwayIsTemporary(t *testing.T) {
	box := server(t, mailbox.Options{})
	s := sender(t, box, nil)
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Send(t.Context(), message("a@x.test")); FailureOf(err) != Temporary || len(r.Left()) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestASilentServerEndsWithTheContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s, err := NewSender(Options{Addr: listener.Addr().String(), From: "m@x.test", TLS: TLSNone, Mode: ModeLive})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Send(ctx, message("a@x.test")); FailureOf(err) != Temporary {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestObserveModeSendsNothingAndSaysSo(t *testing.T) {
	s, err := NewSender(Options{TLS: TLSNone, Mode: ModeObserve, Addr: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Send(t.Context(), message("a@x.test", "b@x.test"))
	if err != nil || len(r.Accepted) != 0 ||
		r.String() != "observe mode, nothing was sent; it was for a@x.test, b@x.test" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestTestModeSendsAllToOneAddress(t *testing.T) {
	box := server(t, mailbox.Options{})
	s := sender(t, box, func(o *Options) { o.Mode, o.TestAddress = ModeTest, "dev@x.test" })
	r, err := s.Send(t.Context(), message("a@x.test", "b@x.test"))
	if err != nil || r.String() != "test mode, sent to dev@x.test; it was for a@x.test, b@x.test" {
		t.Fatalf("got %+v, %v", r, err)
	}
	m := box.Messages()[0]
	if !slices.Equal(m.To, []string{"dev@x.test"}) || m.Header["To"][0] != "<dev@x.test>" ||
		!strings.HasPrefix(m.Subject, "[test] ") ||
		!strings.HasPrefix(m.Body, "This is a test. Without test mode this mail would have gone to: a@x.test,\nb@x.test\n\nHello,") {
		t.Errorf("got %+v", m)
	}
}

func TestNoTextAddsAHeader(t *testing.T) {
	box := server(t, mailbox.Options{})
	s := sender(t, box, nil)
	m := message("a@x.test")
	m.Subject, m.Kind = "x\r\nBcc: evil@x.test\r\n\r\nbody", "k\r\nEvil: 1"
	if _, err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := box.Messages()[0]
	if got.Header["Bcc"] != nil || got.Header["Evil"] != nil || got.Subject != "x Bcc: evil@x.test body" ||
		got.Body != m.Text {
		t.Errorf("got %+v", got)
	}
	for _, change := range []func(*Message){
		func(m *Message) { m.MessageID = "<a@b>\r\nEvil: 1" },
		func(m *Message) { m.InReplyTo = "<a@b>\r\nEvil: 1" },
		func(m *Message) { m.References = []string{"<a@b>\r\nEvil: 1"} },
		func(m *Message) { m.To = []string{"a@x.test\r\nRCPT TO:<evil@x.test>"} },
		func(m *Message) { m.To = []string{`"a\r\nEvil: 1"@x.test`} },
	} {
		m := message("a@x.test")
		change(&m)
		if _, err := s.Send(t.Context(), m); FailureOf(err) != Permanent {
			t.Errorf("%+v: got %v", m, err)
		}
	}
	if n := len(box.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestAnAddressBeyondASCIIGoesOnlyWhereItIsOffered(t *testing.T) {
	const wide = "jörg@x.test"
	box := server(t, mailbox.Options{})
	r, err := sender(t, box, nil).Send(t.Context(), message("a@x.test", wide))
	if err != nil || !slices.Equal(r.Accepted, []string{"a@x.test"}) ||
		!strings.Contains(r.Rejected[wide], "SMTPUTF8") {
		t.Errorf("where it is not offered: %+v, %v", r, err)
	}
	if list := box.Messages(); len(list) != 1 || list[0].Header["To"][0] != "<a@x.test>" {
		t.Errorf("the others get %+v", list)
	}
	box = server(t, mailbox.Options{UTF8: true})
	r, err = sender(t, box, nil).Send(t.Context(), message("a@x.test", wide))
	if err != nil || !slices.Equal(r.Accepted, []string{"a@x.test", wide}) {
		t.Fatalf("where it is offered: %+v, %v", r, err)
	}
	list := box.Messages()
	if len(list) != 2 || list[0].UTF8 || list[0].Header["To"][0] != "<a@x.test>" || !list[1].UTF8 ||
		!slices.Equal(list[1].To, []string{wide}) {
		t.Errorf("got %+v", list)
	}
}

func TestMailsNameTheStreamThatTheyBelongTo(t *testing.T) {
	for list, want := range map[string]string{
		"princeton": "<princeton.monitor.monitor.test>", "admins": "<admins.monitor.monitor.test>",
		"a b\r\nEvil: 1": "<a-b--evil--1.monitor.monitor.test>", "...": "<all.monitor.monitor.test>",
	} {
		box := server(t, mailbox.Options{})
		m := message("a@x.test")
		m.List = list
		if _, err := sender(t, box, nil).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if got := box.Messages()[0].Header["List-Id"]; len(got) != 1 || got[0] != want {
			t.Errorf("%q: got %q, want %q", list, got, want)
		}
	}
	if m, err := Render(notice(Down, node("a"))); err != nil || m.List != "princeton" {
		t.Errorf("a site's: %q, %v", m.List, err)
	}
	if m, err := Render(notice(Flagged, node("a"))); err != nil || m.List != "admins" {
		t.Errorf("the admins': %q, %v", m.List, err)
	}
}

func TestManyRecipientsAreSentInBatches(t *testing.T) {
	box := server(t, mailbox.Options{})
	var to []string
	for i := range batch + 20 {
		to = append(to, fmt.Sprintf("user%d@x.test", i))
	}
	r, err := sender(t, box, nil).Send(t.Context(), message(to...))
	if err != nil || !slices.Equal(r.Accepted, to) {
		t.Fatalf("%d accepted, %v", len(r.Accepted), err)
	}
	if list := box.Messages(); len(list) != 2 || len(list[0].To) != batch || len(list[1].To) != 20 {
		t.Errorf("%d messages", len(list))
	}
}

// certificate makes a server certificate for 127.0.0.1 and the pool that trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(
			1,
		), Subject: pkix.Name{CommonName: "mailbox"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().
			Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func TestTLSAndLogin(t *testing.T) {
	serverTLS, pool := certificate(t)
	trusted := &tls.Config{RootCAs: pool}
	for _, c := range []struct {
		name     string
		tls      string
		client   *tls.Config
		server   *tls.Config
		password string
		want     Failure
	}{
		{"starttls and the right password", TLSStartTLS, trusted, serverTLS, "secret1", ""},
		{"tls from the first byte", TLSWrapped, trusted, serverTLS, "secret1", ""},
		{"no tls on this machine", TLSNone, nil, nil, "secret1", ""},
		{"wrong password", TLSStartTLS, trusted, serverTLS, "hunter2", Auth},
		{"an authority nobody knows", TLSStartTLS, nil, serverTLS, "secret1", TLS},
		{"an authority nobody knows, from the first byte", TLSWrapped, nil, serverTLS, "secret1", TLS},
		{"a server without starttls", TLSStartTLS, trusted, nil, "secret1", TLS},
		{"another name on the certificate", TLSStartTLS, &tls.Config{RootCAs: pool, ServerName: "mx.test"}, serverTLS, "secret1", TLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			box := server(
				t,
				mailbox.Options{Username: "monitor", Password: "secret1", TLS: c.server, Wrapped: c.tls == TLSWrapped},
			)
			s := sender(t, box, func(o *Options) {
				o.TLS, o.TLSConfig, o.Username, o.Password = c.tls, c.client, "monitor", c.password
			})
			_, err := s.Send(t.Context(), message("a@x.test"))
			if FailureOf(err) != c.want || err == nil != (c.want == "") {
				t.Errorf("got %q: %v", FailureOf(err), err)
			}
			if err != nil && strings.Contains(err.Error(), c.password) {
				t.Errorf("the error shows the password: %v", err)
			}
			if n := len(box.Messages()); (n == 1) != (c.want == "") {
				t.Errorf("%d messages", n)
			}
		})
	}
}

func TestAServerThatWantsALoginIsNotRetried(t *testing.T) {
	box := server(t, mailbox.Options{Username: "u", Password: "p"})
	if _, err := sender(t, box, nil).Send(t.Context(), message("a@x.test")); FailureOf(err) != Auth {
		t.Errorf("got %q: %v", FailureOf(err), err)
	}
}

func TestASenderNeedsSoundOptions(t *testing.T) {
	for want, o := range map[string]Options{
		`mode ""`:         {Addr: "a:1", From: "a@b.c", TLS: TLSNone},
		`TLS "maybe"`:     {Addr: "a:1", From: "a@b.c", TLS: "maybe", Mode: ModeLive},
		`sender ""`:       {Addr: "a:1", TLS: TLSNone, Mode: ModeLive},
		`server "a"`:      {Addr: "a", From: "a@b.c", TLS: TLSNone, Mode: ModeLive},
		`test address ""`: {Addr: "a:1", From: "a@b.c", TLS: TLSNone, Mode: ModeTest},
	} {
		if _, err := NewSender(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
