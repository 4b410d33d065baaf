package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/pglocal"
)

const bootLog = "Initializing the BootManager.\nReading node configuration file.\nNODE_KEY=\"s3cretkey\"\n" +
	"Authenticating node with PLC.\nStarting debug mode\n"

// pushes serves a receiver of logs on a store with nodes at addresses.
func pushes(t *testing.T, proxied bool, nodes map[string]string) (*store.Store, *bootLogs, *httptest.Server) {
	t.Helper()
	url := pglocal.ForTest(t)
	db, err := store.Open(t.Context(), store.Options{URL: url, Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	id := 0
	for host, ip := range nodes {
		id++
		if _, err := conn.Exec(t.Context(), `insert into node (node_id, hostname, site, ip, boot_state, model, pcu_id, outlet, status)
			values ($1, $2, 'lab', $3, 'boot', '', 0, 0, 'down')`, id, host, ip); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	if err := receiveBootLogs(mux, db, proxied, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	h, _ := mux.Handler(httptest.NewRequest(http.MethodPost, "/upload-bmlog", nil))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return db, h.(*bootLogs), server
}

func push(t *testing.T, server *httptest.Server, kind string, body io.Reader, header ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/upload-bmlog", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func form(t *testing.T, field, text string) (kind string, body *bytes.Buffer) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	part, err := w.CreateFormFile(field, "bm.log")
	if err == nil {
		_, err = part.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), body
}

// A node sends its log as BootManagers do, and as it is. It is kept without its key, capped, and marked; no more than one
// a minute; and those that were fetched stay.
func TestANodeSendsItsBootLog(t *testing.T) {
	db, b, server := pushes(t, false, map[string]string{"n1.example": "127.0.0.1"})
	now := time.Now()
	b.now = func() time.Time { return now }
	last := func(sequence string, cut bool) store.BootLog {
		t.Helper()
		l, err := db.LastBootLog(t.Context(), "n1.example")
		if err != nil {
			t.Fatal(err)
		}
		if l.Sequence != sequence || l.Cut != cut || !l.Pushed || bytes.Contains(l.Log, []byte("s3cretkey")) {
			t.Errorf("the log is %+v, want %s", l, sequence)
		}
		return l
	}
	if err := db.SaveBootLog(t.Context(), store.BootLog{Node: "n1.example", At: now, Sequence: "fetched-done", Log: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	kind, body := form(t, "log", bootLog)
	if code := push(t, server, kind, body); code != http.StatusNoContent {
		t.Fatalf("a form is answered by %d", code)
	}
	last("bminit-cfg-auth-debug-done", false)
	if code := push(t, server, "text/plain", strings.NewReader(bootLog)); code != http.StatusTooManyRequests {
		t.Errorf("a second one in a minute is answered by %d", code)
	}
	now = now.Add(time.Minute)
	kind, body = form(t, "log", bootLog+strings.Repeat("x", 3*bootman.MaxOutput))
	if code := push(t, server, kind, body); code != http.StatusNoContent {
		t.Errorf("a large form is answered by %d", code)
	}
	if l := last("bminit-cfg-auth-debug-done", true); len(l.Log) > bootman.MaxOutput {
		t.Errorf("%d bytes are kept", len(l.Log))
	}
	for range 25 {
		now = now.Add(time.Minute)
		if code := push(t, server, "text/plain", strings.NewReader("Starting debug mode\n\x00\xff")); code != http.StatusNoContent {
			t.Fatalf("a plain one is answered by %d", code)
		}
	}
	last("debug-done", false)
	list, err := db.BootLogs(t.Context(), "n1.example")
	if err != nil || len(list) != 21 || list[20].Sequence != "fetched-done" || list[20].Pushed {
		t.Errorf("%d logs are kept, the oldest %+v, %v", len(list), list[len(list)-1], err)
	}
	past, err := db.History(t.Context(), "n1.example", 100)
	if err != nil || len(past) != 2 || past[0].Kind != "boot log" || past[0].Became != "debug-done" {
		t.Errorf("the history is %+v, %v", past, err)
	}
	for name, send := range map[string]func() (string, io.Reader){
		"an empty log":  func() (string, io.Reader) { return "text/plain", strings.NewReader("") },
		"another field": func() (string, io.Reader) { kind, body := form(t, "core", "x"); return kind, body },
		"half a form": func() (string, io.Reader) {
			kind, body := form(t, "log", "x")
			return kind, io.LimitReader(body, int64(body.Len()-20))
		},
		"no boundary":      func() (string, io.Reader) { return "multipart/form-data", strings.NewReader("x") },
		"another boundary": func() (string, io.Reader) { return "multipart/form-data; boundary=y", strings.NewReader("--x\r\n") },
	} {
		now = now.Add(time.Minute)
		kind, body := send()
		if code := push(t, server, kind, body); code != http.StatusBadRequest {
			t.Errorf("%s is answered by %d", name, code)
		}
	}
}

// Only an address that is that of one node speaks for it. What a proxy has seen counts behind one, and nowhere else.
func TestStrangersSendNoBootLogs(t *testing.T) {
	for name, c := range map[string]struct {
		proxied bool
		nodes   map[string]string
		from    string
		code    int
	}{
		"a stranger":             {false, map[string]string{"n1.example": "192.0.2.1"}, "", http.StatusForbidden},
		"one of two nodes":       {false, map[string]string{"n1.example": "127.0.0.1", "n2.example": "127.0.0.1"}, "", http.StatusForbidden},
		"a forged header":        {false, map[string]string{"n1.example": "192.0.2.1"}, "192.0.2.1", http.StatusForbidden},
		"through a proxy":        {true, map[string]string{"n1.example": "192.0.2.1"}, "203.0.113.9, 192.0.2.1", http.StatusNoContent},
		"forged through a proxy": {true, map[string]string{"n1.example": "192.0.2.1"}, "192.0.2.1, 203.0.113.9", http.StatusForbidden},
		"mapped to IPv6":         {true, map[string]string{"n1.example": "192.0.2.1"}, "::ffff:192.0.2.1", http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			db, _, server := pushes(t, c.proxied, c.nodes)
			if code := push(t, server, "text/plain", strings.NewReader(bootLog), "X-Forwarded-For", c.from); code != c.code {
				t.Errorf("it is answered by %d, want %d", code, c.code)
			}
			list, err := db.BootLogs(t.Context(), "n1.example")
			if err != nil || (len(list) == 1) != (c.code == http.StatusNoContent) {
				t.Errorf("%d logs are kept, %v", len(list), err)
			}
		})
	}
}
