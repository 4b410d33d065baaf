package store

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/testbed/pglocal"
)

// The two accounts of docs/operation.md: one owns the tables, the other works with them and may change none.
func TestTheDocumentedAccountsHaveTheRightsThatTheyNeed(t *testing.T) {
	page, err := os.ReadFile("../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sql\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/operation.md has no accounts")
	}
	admin, err := url.Parse(pglocal.ForTest(t))
	if err != nil {
		t.Fatal(err)
	}
	name := "rights" + strings.Trim(admin.Path, "/")
	sql := regexp.MustCompile(`\bmonitor(_owner)?\b`).ReplaceAllString(string(block[1]), name+"$1")
	sql = strings.ReplaceAll(sql, "'...'", "'word'")
	before, after, both := strings.Cut(sql, "\\c "+name+"\n")
	if !both {
		t.Fatal("the page does not change into the database")
	}
	as := func(user, database string) string {
		u := *admin
		if user != "" {
			u.User = url.UserPassword(user, "word")
		}
		u.Path = "/" + database
		return u.String()
	}
	run := func(to, sql string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		for statement := range strings.SplitSeq(sql, ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	run(admin.String(), before)
	open := func(user string) *Store {
		t.Helper()
		s, err := Open(t.Context(), Options{URL: as(user, name), Key: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	run(as("", name), after)
	owner := open(name + "_owner")
	if err := owner.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	owner.Close()
	worker := open(name)
	if err := worker.Migrate(t.Context()); err != nil {
		t.Errorf("a worker cannot start where the tables are up to date: %v", err)
	}
	c, err := worker.Checkup(t.Context())
	if err != nil || c.MayCreate || len(c.Missing) > 0 || c.Schema != c.Want || c.Want == 0 {
		t.Errorf("the worker's account: %+v, %v", c, err)
	}
	if _, err := worker.SaveSnapshot(t.Context(), snapshot, false); err != nil {
		t.Errorf("it cannot write: %v", err)
	}
	if _, err := worker.pool.Exec(t.Context(), `drop table node`); err == nil {
		t.Error("it may drop tables")
	}
	worker.Close()
	run(admin.String(), fmt.Sprintf("drop database %[1]s;\ndrop role %[1]s;\ndrop role %[1]s_owner;\n", name))
}
