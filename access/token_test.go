package access

import (
	"strings"
	"testing"
)

func TestATokenIsKnownByItsHash(t *testing.T) {
	text, id, hash := NewToken()
	again, got, ok := ParseToken(text)
	if !ok || again != id || got != hash || !SameHash(got[:], hash[:]) {
		t.Errorf("%s is taken for %s, %t", text, again, ok)
	}
	other, _, _ := NewToken()
	if other == text {
		t.Error("two tokens are one")
	}
	_, wrong, ok := ParseToken(text[:len(text)-1] + "!")
	if !ok || SameHash(wrong[:], hash[:]) {
		t.Error("a wrong secret is right")
	}
}

func TestWhatIsNoTokenIsNone(t *testing.T) {
	text, _, _ := NewToken()
	for _, s := range []string{"", "monitor_", "monitor__", "Bearer x", strings.TrimPrefix(text, tokenMark), text + "a", text[:20],
		strings.ToUpper(text), strings.Repeat("monitor_", 10000)} {
		if _, _, ok := ParseToken(s); ok {
			t.Errorf("%.40q is a token", s)
		}
	}
}
