// Package pglocal gives a throw-away Postgres to the demo and the tests: a database inside DATABASE_URL where that is
// set, else a private cluster in a temporary folder, in memory where there is enough. It never touches a system cluster,
// and leaves nothing behind.
package pglocal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Cluster is a Postgres that somebody may write to.
type Cluster struct {
	URL     string // of a fresh database
	stop    func() error
	restart func(ctx context.Context, crash bool) error
	dir     string
	command programs // nil: somebody else's server
}

// Restart ends the server, at once where it is to crash, and brings it up again with the same data at the same port. A
// server of somebody else's is left alone, and that is an error.
func (c *Cluster) Restart(ctx context.Context, crash bool) error {
	if c.restart == nil {
		return errors.New("the Postgres of DATABASE_URL is somebody else's and is not restarted: unset DATABASE_URL")
	}
	return c.restart(ctx, crash)
}

// Stop ends the cluster, or drops the database in somebody else's one, and removes every file.
func (c *Cluster) Stop() error { return c.stop() }

// Start brings up Postgres and waits until it answers. Progress goes to log.
func Start(ctx context.Context, log io.Writer) (*Cluster, error) {
	if base := os.Getenv("DATABASE_URL"); base != "" {
		u, err := createDatabase(ctx, base)
		if err != nil {
			return nil, fmt.Errorf("DATABASE_URL is set, but a database cannot be made there: %w", err)
		}
		return &Cluster{URL: u, stop: func() error { return dropDatabase(base, u) }}, nil
	}
	bin, err := binaries(log)
	if err != nil {
		return nil, err
	}
	return private(ctx, bin)
}

// binaries finds the folder of initdb and postgres, and installs Debian's package as a last resort.
func binaries(log io.Writer) (string, error) {
	if bin, ok := find(); ok {
		return bin, nil
	}
	const install = "install Postgres (Debian: `apt-get install postgresql`, macOS: `brew install postgresql`), or set DATABASE_URL"
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return "", errors.New("no Postgres found: " + install)
	}
	fmt.Fprintln(log, "installing Debian's postgresql, once, without a system cluster ...")
	for _, args := range [][]string{{"update", "-q"}, {"install", "-qy", "--no-install-recommends", "postgresql-common"}, {"install", "-qy", "--no-install-recommends", "postgresql"}} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = log, log
		if args[0] == "install" && slices.Contains(args, "postgresql") {
			_ = os.WriteFile("/etc/postgresql-common/createcluster.conf", []byte("create_main_cluster = false\n"), 0o644)
		}
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("apt-get %s: %w; %s", args[0], err, install)
		}
	}
	if bin, ok := find(); ok {
		return bin, nil
	}
	return "", errors.New("no Postgres found after installing it: " + install)
}

func find() (string, bool) {
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"} {
		found, _ := filepath.Glob(pattern)
		slices.Reverse(found)
		dirs = append(dirs, found...)
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(p))
	}
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(d, "initdb")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(d, "postgres")); err == nil {
			return d, true
		}
	}
	return "", false
}

func private(ctx context.Context, bin string) (*Cluster, error) {
	dir, password, command, err := initialise(bin)
	if err != nil {
		return nil, err
	}
	c, err := serve(ctx, dir, password, command)
	if err != nil {
		_ = os.RemoveAll(dir)
	}
	return c, err
}

// prefix begins the names of clusters' folders.
const prefix = "monitor-pg-"

// programs makes the command of one of Postgres's programs, with its arguments.
type programs func(name string, args ...string) *exec.Cmd

// initialise makes a folder, which nobody else may enter, with a cluster that is not served yet and wants a password.
func initialise(bin string) (dir, password string, command programs, err error) {
	if dir, err = os.MkdirTemp(folder(), prefix); err != nil { // its mode is 0700
		return "", "", nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // Postgres refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				return "", "", nil, errors.New("postgres cannot run as root, and there is neither a user postgres nor nobody")
			}
		}
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return "", "", nil, err
		}
	}
	command = func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
		asUser(cmd, uid, gid)
		return cmd
	}
	var random [16]byte
	_, _ = rand.Read(random[:])
	password = hex.EncodeToString(random[:])
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return "", "", nil, err
	}
	defer os.Remove(file)
	if err := os.Chown(file, uid, gid); err != nil {
		return "", "", nil, err
	}
	out, err := command("initdb", "-D", filepath.Join(dir, "data"), "-U", "monitor", "-A", "scram-sha-256", "--pwfile", file, "-E", "UTF8", "--no-sync").CombinedOutput()
	if err != nil {
		return "", "", nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	return dir, password, command, nil
}

// serve runs Postgres on the data in dir, and makes a database. It listens on a socket in dir alone: no port can be
// taken, and no other account of this machine gets to it.
func serve(ctx context.Context, dir, password string, command programs) (*Cluster, error) {
	r, err := launch(dir, command)
	if err != nil {
		return nil, err
	}
	socket := fmt.Sprintf("postgres://monitor:%s@/postgres?host=%s", password, url.QueryEscape(dir))
	for deadline := time.Now().Add(2 * time.Minute); ; {
		made, err := createDatabase(ctx, socket)
		if err == nil {
			c := &Cluster{URL: made, dir: dir, command: command}
			c.stop = sync.OnceValue(func() error { r.end(os.Interrupt); return os.RemoveAll(dir) })
			c.restart = func(ctx context.Context, crash bool) error {
				how := os.Interrupt // fast shutdown
				if crash {
					how = syscall.SIGQUIT // immediate shutdown: the next start recovers
				}
				r.end(how)
				again, err := launch(dir, command)
				if err != nil {
					return err
				}
				r = again
				return answers(ctx, c.URL)
			}
			return c, nil
		}
		select {
		case <-r.ended:
			text, _ := os.ReadFile(filepath.Join(dir, "log"))
			return nil, fmt.Errorf("postgres ended at once: %s", text)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			r.end(os.Interrupt)
			return nil, fmt.Errorf("postgres does not answer: %w", err)
		}
	}
}

// running is a server process.
type running struct {
	process *os.Process
	ended   chan struct{}
}

func launch(dir string, command programs) (*running, error) {
	server := command("postgres", "-D", filepath.Join(dir, "data"), "-h", "", "-k", dir, "-c", "unix_socket_permissions=0700",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
	// The folder is Postgres's, and we may be root: what lies there under the log's name is not followed.
	logFile, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close() // the server has its own
	server.Stdout, server.Stderr = logFile, logFile
	if err := server.Start(); err != nil {
		return nil, err
	}
	r := &running{server.Process, make(chan struct{})}
	go func() { _ = server.Wait(); close(r.ended) }()
	return r, nil
}

// end asks the server to end, and kills one that does not. A server that has ended stays so.
func (r *running) end(how os.Signal) {
	select {
	case <-r.ended:
		return
	default:
	}
	_ = r.process.Signal(how)
	select {
	case <-r.ended:
	case <-time.After(30 * time.Second):
		_ = r.process.Kill()
		<-r.ended
	}
}

// answers waits until a database answers.
func answers(ctx context.Context, url string) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("postgres does not answer after its restart: %w", err)
		}
	}
}

// createDatabase makes a database with the files of Postgres's empty one, which costs much less than the default: to
// write them through its log.
func createDatabase(ctx context.Context, base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	var id [6]byte
	_, _ = rand.Read(id[:])
	name := "monitor_" + hex.EncodeToString(id[:])
	err = administer(ctx, base, "create database "+name+" strategy file_copy")
	// A syntax error: before Postgres 15 it is the only way.
	if said, ok := errors.AsType[*pgconn.PgError](err); ok && said.Code == "42601" {
		err = administer(ctx, base, "create database "+name)
	}
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// administrator is the connection that makes and drops databases. Every test of a package needs it, and to connect costs
// more than what is asked for then, so that it is kept.
var administrator struct {
	sync.Mutex
	conn *pgx.Conn
	base string // where it leads
}

// administer gives an order to the server at base.
func administer(ctx context.Context, base, sql string) error {
	a := &administrator
	a.Lock()
	defer a.Unlock()
	if a.conn == nil || a.base != base || a.conn.Ping(ctx) != nil {
		if a.conn != nil {
			_ = a.conn.Close(ctx)
		}
		var err error
		if a.conn, err = pgx.Connect(ctx, base); err != nil {
			return err
		}
		a.base = base
	}
	_, err := a.conn.Exec(ctx, sql)
	return err
}

func dropDatabase(base, database string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	u, err := url.Parse(database)
	if err != nil {
		return err
	}
	return administer(ctx, base, "drop database if exists "+u.Path[1:]+" with (force)")
}

// Main runs the tests of a package on one cluster, on which each test then has a database of its own: to make a
// cluster takes seconds. Short tests need none. What tests share ends before the cluster does.
func Main(m *testing.M, ends ...func()) int {
	run := func() int {
		for _, end := range ends {
			defer end()
		}
		return m.Run()
	}
	flag.Parse()
	if testing.Short() || os.Getenv("DATABASE_URL") != "" {
		return run()
	}
	c, err := Start(context.Background(), os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Stop()
	if err := os.Setenv("DATABASE_URL", c.URL); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

// ForTest gives a test a fresh database on a cluster of its own, gone when the test ends.
func ForTest(t testing.TB) string {
	t.Helper()
	c, err := Start(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c.URL
}
