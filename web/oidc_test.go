package web

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// provider is a small OpenID Connect provider that checks what a client must send (OpenID Connect Core 1.0, 3.1; RFC
// 7636), and may be made to lie.
type provider struct {
	*httptest.Server
	key    *rsa.PrivateKey
	claims map[string]any // of whoever signs in
	codes  map[string]url.Values
	lie    func(claims map[string]any) // before it signs
	signBy *rsa.PrivateKey             // another key than the one that it shows
	wrong  []string                    // what a client did wrong
}

const oidcClientSecret = "oidc-s3cret"

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /auth", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		for name, want := range map[string]string{"client_id": "monitor", "response_type": "code", "code_challenge_method": "S256"} {
			if q.Get(name) != want {
				p.wrong = append(p.wrong, name+" is "+q.Get(name))
			}
		}
		if q.Get("state") == "" || q.Get("nonce") == "" || q.Get("code_challenge") == "" {
			p.wrong = append(p.wrong, "no state, nonce or challenge")
		}
		code := newNonce()
		p.codes[code] = q
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		q, known := p.codes[r.PostFormValue("code")]
		delete(p.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		id, secret, basic := r.BasicAuth()
		if !basic {
			id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
		}
		if !known || base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") || r.PostFormValue("redirect_uri") != q.Get("redirect_uri") ||
			id != "monitor" || secret != oidcClientSecret {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		claims := map[string]any{"iss": p.URL, "aud": "monitor", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "nonce": q.Get("nonce")}
		for k, v := range p.claims {
			claims[k] = v
		}
		if p.lie != nil {
			p.lie(claims)
		}
		answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.sign(t, claims)})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) sign(t *testing.T, claims map[string]any) string {
	key := p.key
	if p.signBy != nil {
		key = p.signBy
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	text, _ := json.Marshal(claims)
	signed, err := signer.Sign(text)
	if err != nil {
		t.Error(err)
		return ""
	}
	out, _ := signed.CompactSerialize()
	return out
}

func TestPeopleSignInWithOpenIDConnect(t *testing.T) {
	p := newProvider(t)
	o := &OIDC{Issuer: p.URL, ClientID: "monitor", ClientSecret: oidcClientSecret, Name: "the university", RolesClaim: "groups", Viewers: []string{"staff"},
		Operators: []string{"noc"}, Admins: []string{"root"}}
	f := newFixture(t, func(x *Options) { x.OIDC = o })
	f.pages.oidc.Callback = f.http.URL + "/sign-in/oidc/callback"
	enter := func(claims map[string]any) (v *visitor, body string) {
		t.Helper()
		p.claims = claims
		v = f.visitor(t)
		_, body = v.get("/sign-in/oidc?next=%2Fnodes")
		return v, body
	}
	for name, c := range map[string]struct {
		claims map[string]any
		in     bool
		sees   string
		not    string
	}{
		"an operator by his group":          {map[string]any{"sub": "1", "email": "x@uni.example", "groups": []string{"other", "noc"}}, true, "tokyo", ""},
		"a viewer by a group that is alone": {map[string]any{"sub": "2", "groups": "staff"}, true, "tokyo", ""},
		"a tech of a site by his address":   {map[string]any{"sub": "3", "email": strings.ToUpper(aTech), "email_verified": true}, true, "huji", "tokyo"},
		"an address that is not verified":   {map[string]any{"sub": "4", "email": anAdmin, "email_verified": false}, false, "no role here", "tokyo"},
		"nobody in particular":              {map[string]any{"sub": "5", "email": "nobody@uni.example"}, false, "no role here", "tokyo"},
	} {
		_, body := enter(c.claims)
		if strings.Contains(body, "Sign out") != c.in || !strings.Contains(body, c.sees) || c.not != "" && strings.Contains(body, c.not) {
			t.Errorf("%s: %.3000s", name, body)
		}
		if c.in && !strings.Contains(body, "<h1>Nodes</h1>") {
			t.Errorf("%s is not led to where he wanted to go", name)
		}
	}
	if len(p.wrong) > 0 {
		t.Errorf("we sent %q", p.wrong)
	}
	operator := map[string]any{"sub": "1", "groups": []string{"noc"}}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	f.must(t, err)
	for name, lie := range map[string]func(map[string]any){
		"for another client":      func(c map[string]any) { c["aud"] = "somebody else" },
		"of another provider":     func(c map[string]any) { c["iss"] = "https://evil.example" },
		"that is over":            func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() },
		"for another sign-in":     func(c map[string]any) { c["nonce"] = "other" },
		"signed by somebody else": func(map[string]any) { p.signBy = other },
	} {
		p.lie = lie
		if _, body := enter(operator); strings.Contains(body, "Sign out") || !strings.Contains(body, "You are not signed in") {
			t.Errorf("what the provider signed %s is taken", name)
		}
		p.signBy = nil
	}
	p.lie = nil
	// an answer that nobody here asked for, as a link that somebody else sends (RFC 6749, 10.12)
	v := f.visitor(t)
	v.get("/sign-in")
	p.codes["stolen"] = url.Values{"code_challenge": {"x"}}
	for _, q := range []string{"code=stolen&state=x", "code=stolen", "error=access_denied&state=x", ""} {
		if _, body := v.get("/sign-in/oidc/callback?" + q); strings.Contains(body, "Sign out") {
			t.Errorf("%q signs in", q)
		}
	}
	// the right code, in the browser of somebody else
	mine := f.visitor(t)
	mine.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.Path, "/sign-in/oidc/callback") {
			return http.ErrUseLastResponse
		}
		return nil
	}
	p.claims = operator
	resp, err := mine.http.Get(f.http.URL + "/sign-in/oidc")
	f.must(t, err)
	resp.Body.Close()
	back, err := resp.Location()
	f.must(t, err)
	if _, body := v.get(back.RequestURI()); strings.Contains(body, "Sign out") {
		t.Error("the answer for one browser signs in another")
	}
}
