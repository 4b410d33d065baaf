package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
)

func FuzzChallenge(f *testing.F) {
	for _, c := range []string{
		`Digest realm="Digest:A3B2C1D0E0F0A0B0C0D0E0F0A0B0C0D0", nonce="x7mVAAIAAAAAAAAAtqw", stale="false", qop="auth"`,
		`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv", opaque="FQhe/qaU925k"`,
		`Digest realm="a\"b", nonce="`, `Digest realm=a,nonce=b,algorithm=MD5-sess`, `Basic realm="Maverick"`, `Digest`, `Negotiate`,
	} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, challenge string) {
		c, ok := answerTo(http.Header{"Www-Authenticate": {challenge}})
		h := c.header(pcucontrol.Target{User: "u", Password: "s3cret"}, "GET", "/")
		if ok != (h != "") || strings.ContainsAny(h, "\r\n") || strings.Contains(h, "s3cret") {
			t.Errorf("%q is answered with %q", challenge, h)
		}
	})
}

// The vectors of RFC 7616, section 3.9.1, and of RFC 2617, section 3.5, without qop.
func TestDigestIsThatOfTheRFC(t *testing.T) {
	const nonce, cnonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	for algorithm, want := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		p := parameters(
			`realm="http-auth@example.org", qop="auth, auth-int", algorithm=` + algorithm + `, nonce="` + nonce + `", opaque="o"`,
		)
		got := digest(p, "Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce, 1)
		if !strings.Contains(got, `response="`+want+`"`) {
			t.Errorf("%s gives %s", algorithm, got)
		}
	}
	p := parameters(`realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`)
	got := digest(p, "Mufasa", "Circle Of Life", "GET", "/dir/index.html", "", 1)
	if !strings.Contains(got, `response="670fd8c2df070c60b045671b8b24ff02"`) {
		t.Errorf("without qop it gives %s", got)
	}
}

func TestTheFirstChallengeThatCanBeAnsweredIs(t *testing.T) {
	for want, challenges := range map[string][]string{
		"digest of MD5": {`Negotiate`, `Digest realm="a", nonce="b", algorithm=SHA-512-256`,
			`Digest realm="a", nonce="b", algorithm=MD5`, `Basic realm="a"`},
		"basic":          {`Digest realm="a", nonce="b", qop="auth-int"`, `Basic realm="a"`},
		"nothing at all": {`Negotiate`, `Digest realm="a", nonce="b", algorithm=SHA-512-256`},
	} {
		c, ok := answerTo(http.Header{"Www-Authenticate": challenges})
		got := "nothing at all"
		switch {
		case c.digest != nil:
			got = "digest of " + c.digest["algorithm"]
		case c.Basic:
			got = "basic"
		}
		if got != want || ok != (want != "nothing at all") {
			t.Errorf("%v is answered by %s", challenges, got)
		}
	}
}
