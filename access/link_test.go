package access

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

func linker(t *testing.T, fill byte) Links {
	t.Helper()
	l, err := NewLinks(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestALinkIsReadAsItWasMade(t *testing.T) {
	l, now := linker(t, 1), time.Date(2026, 11, 24, 14, 3, 0, 0, time.UTC)
	k := Link{Issue: "nodedown/planetlab1.princeton.example", Site: "princeton", Made: now, Expires: now.Add(LinkGood)}
	text := l.Make(k)
	got, err := l.Read(text, now.Add(LinkGood-time.Second))
	if err != nil || got.Issue != k.Issue || got.Site != k.Site || !got.Made.Equal(k.Made) || !got.Expires.Equal(k.Expires) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := l.Read(text, now.Add(LinkGood)); !errors.Is(err, ErrExpired) {
		t.Errorf("when it is over: %v", err)
	}
	if strings.ContainsAny(text, "+/=&?#% ") || len(text) > 200 {
		t.Errorf("%q does not stand in an address as it is", text)
	}
	who := got.Who("192.0.2.1")
	if Allowed(who, IssuePledge, "epfl") || Allowed(who, IssueClose, "princeton") || !Allowed(who, IssuePledge, "princeton") {
		t.Errorf("%+v may do something else", who)
	}
}

func TestAForgedLinkIsNone(t *testing.T) {
	l, now := linker(t, 1), time.Now()
	text := l.Make(Link{Issue: "nodedown/a", Site: "princeton", Made: now, Expires: now.Add(time.Hour)})
	body, sum, _ := strings.Cut(text, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	another := base64.RawURLEncoding.EncodeToString(bytes.Replace(raw, []byte("princeton"), []byte("epflepfle"), 1))
	for name, forged := range map[string]string{
		"nothing": "", "a dot": ".", "no signature": body, "an empty signature": body + ".", "half a signature": text[:len(text)-8],
		"another site": another + "." + sum, "another key": linker(t, 2).Make(Link{Issue: "nodedown/a", Site: "princeton", Made: now, Expires: now.Add(time.Hour)}),
		"more behind it": text + "AAAA", "padding": text + "=", "long": strings.Repeat("A", 1<<20) + "." + sum,
	} {
		if _, err := l.Read(forged, now); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range text { // each character counts
		c := byte('A')
		if text[i] == 'A' {
			c = 'B'
		}
		if _, err := l.Read(text[:i]+string(c)+text[i+1:], now); !errors.Is(err, ErrForged) {
			t.Errorf("with another character at %d it is one of ours: %v", i, err)
		}
	}
	if _, err := (Links{}).Read(text, now); !errors.Is(err, ErrForged) {
		t.Errorf("without a key: %v", err)
	}
	if _, err := NewLinks([]byte("short")); err == nil {
		t.Error("a short key will do")
	}
}

func TestALinkIsOneOrder(t *testing.T) {
	again := LinkKey("a", "pledge")
	if LinkKey("a", "pledge") != again || again == LinkKey("b", "pledge") || again == LinkKey("a", "reboot") {
		t.Error("the keys are not those of links and orders")
	}
}
