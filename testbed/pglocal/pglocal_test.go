package pglocal

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The database of a demo is not for the other accounts of a machine.
func TestNobodyElseGetsIntoThePrivateCluster(t *testing.T) {
	bin, err := binaries(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := private(t.Context(), bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	dir := u.Query().Get("host")
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 || u.Host != "" {
		t.Fatalf("%s: %v, %v", c.URL, info.Mode(), err)
	}
	conn, err := pgx.Connect(t.Context(), c.URL)
	if err != nil {
		t.Fatal(err)
	}
	var listens, password string
	err = errors.Join(conn.QueryRow(t.Context(), "show listen_addresses").Scan(&listens),
		conn.QueryRow(t.Context(), "select string_agg(distinct auth_method, ' ') from pg_hba_file_rules").Scan(&password), conn.Close(t.Context()))
	if err != nil || listens != "" || password != "scram-sha-256" {
		t.Errorf("it listens on %q, and asks for %q, %v", listens, password, err)
	}
	for _, user := range []*url.Userinfo{url.User("monitor"), url.UserPassword("monitor", "monitor")} {
		other := *u
		other.User = user
		if conn, err := pgx.Connect(t.Context(), other.String()); err == nil {
			t.Errorf("%s lets one in", other.String())
			_ = conn.Close(t.Context())
		}
	}
	if err := errors.Join(c.Stop(), c.Stop()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left behind: %v", err)
	}
}

// Postgres owns its folder, and we may be root: a link that lies in the log's place must not have us write somewhere else.
func TestALinkInTheLogsPlaceIsNotFollowed(t *testing.T) {
	bin, err := binaries(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir, password, command, err := initialise(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	precious := filepath.Join(t.TempDir(), "precious")
	if err := errors.Join(os.WriteFile(precious, []byte("precious"), 0o600), os.Symlink(precious, filepath.Join(dir, "log"))); err != nil {
		t.Fatal(err)
	}
	if c, err := serve(context.Background(), dir, password, command); err == nil {
		t.Error("it was started")
		_ = c.Stop()
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "precious" {
		t.Errorf("what the link leads to holds %q, %v", text, err)
	}
}
