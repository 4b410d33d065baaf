package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
)

// A password of PLC is exchanged for a token, which is kept, and is itself kept nowhere.
func TestAPasswordSignsInAtAServer(t *testing.T) {
	_, behind, token := servedFleet(t)
	operator := token(access.Operator, access.AllSites)
	at, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", httputil.NewSingleHostReverseProxy(at))
	mux.HandleFunc("POST /sign-in/token", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Account, Password string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Authorization") != "" {
			t.Errorf("%v, %v", err, r.Header)
		}
		if in.Account != "op@plc.example" || in.Password != "open sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]any{"status": 401, "detail": "that was not accepted"})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"token": operator, "name": "login of op", "expires": noon().Add(24 * time.Hour)})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	unconfigured(t)
	ctx := t.Context()
	login := func(in string, args ...string) answer {
		return callAt(ctx, in, append([]string{"login", "--server", server.URL}, args...)...)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]answer{"standard input": login("open sesame\n", "--user", "op@plc.example", "--password-file", "-"),
		"file": login("", "--user", "op@plc.example", "--password-file", file)} {
		wantCode(t, got, exitOK)
		wantIn(t, got.out, "signed in at "+server.URL, "operator")
		wantIn(t, got.err, `the token is called "login of op"`, "good until 2026-11-25")
		if strings.Contains(got.out+got.err, "sesame") || strings.Contains(got.out+got.err, operator) {
			t.Errorf("%s: a secret is shown: %s%s", name, got.out, got.err)
		}
	}
	path, err := signInFile()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), operator) || strings.Contains(string(text), "sesame") {
		t.Errorf("kept is %s, %v", text, err)
	}
	wantCode(t, callAt(ctx, "", "mode"), exitOK)
	got := login("wrong\n", "--user", "op@plc.example", "--password-file", "-")
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "that was not accepted")
	wantCode(t, login("", "--user", "op@plc.example"), exitUsage)
	wantCode(t, login("", "--user", "op@plc.example", "--password-file", "/nowhere/pw"), exitUsage)
	wantCode(t, login("", "--password-file", file), exitUsage)
	got = callAt(ctx, "open sesame\n", "login", "--server", behind, "--user", "op@plc.example", "--password-file", "-")
	wantIn(t, got.err, "address of its pages")
}
