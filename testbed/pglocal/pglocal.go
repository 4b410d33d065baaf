// Package pglocal gives a throw-away Postgres to the demo and the tests: a database inside DATABASE_URL where that is set,
// else a private cluster in a temporary folder. It never touches a system cluster, and leaves nothing behind.
package pglocal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
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
)

// Cluster is a Postgres that somebody may write to.
type Cluster struct {
	URL     string // of a fresh database
	stop    func() error
	restart func(ctx context.Context, crash bool) error
	dir     string
	command programs // nil: somebody else's server
}

// Restart ends the server, at once where it is to crash, and brings it up again with the same data at the same port. A server of somebody
// else's is left alone, and that is an error.
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
	dir, command, err := initialise(bin)
	if err != nil {
		return nil, err
	}
	for range 5 {
		var port int
		if port, err = freePort(); err != nil {
			break
		}
		var c *Cluster
		if c, err = serve(ctx, dir, port, command); err == nil {
			return c, nil
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	_ = os.RemoveAll(dir)
	return nil, err
}

// programs makes the command of one of Postgres's programs, with its arguments.
type programs func(name string, args ...string) *exec.Cmd

// initialise makes a folder with a cluster that is not served yet.
func initialise(bin string) (dir string, command programs, err error) {
	if dir, err = os.MkdirTemp("", "monitor-pg-"); err != nil {
		return "", nil, err
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
				return "", nil, errors.New("postgres cannot run as root, and there is neither a user postgres nor nobody")
			}
		}
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return "", nil, err
		}
	}
	command = func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
		asUser(cmd, uid, gid)
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "monitor", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	return dir, command, nil
}

// errPortTaken: a port that was free a moment ago is somebody else's when Postgres asks for it.
var errPortTaken = errors.New("postgres finds its port taken again and again: run fewer tests at once")

// serve runs Postgres on the data in dir, and makes a database. It asks over the socket in dir, which no other Postgres has: what
// answers on the port may be somebody else's.
func serve(ctx context.Context, dir string, port int, command programs) (*Cluster, error) {
	r, err := launch(dir, port, command)
	if err != nil {
		return nil, err
	}
	socket := fmt.Sprintf("postgres://monitor@/postgres?host=%s&port=%d", url.QueryEscape(dir), port)
	for deadline := time.Now().Add(2 * time.Minute); ; {
		made, err := createDatabase(ctx, socket)
		if err == nil {
			u, err := url.Parse(made)
			if err != nil {
				r.end(os.Interrupt)
				return nil, err
			}
			c := &Cluster{URL: fmt.Sprintf("postgres://monitor@127.0.0.1:%d%s", port, u.Path), dir: dir, command: command}
			c.stop = sync.OnceValue(func() error { r.end(os.Interrupt); return os.RemoveAll(dir) })
			c.restart = func(ctx context.Context, crash bool) error {
				how := os.Interrupt // fast shutdown
				if crash {
					how = syscall.SIGQUIT // immediate shutdown: the next start recovers
				}
				r.end(how)
				again, err := launch(dir, port, command)
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
			if bytes.Contains(text, []byte("Address already in use")) {
				return nil, errPortTaken
			}
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

func launch(dir string, port int, command programs) (*running, error) {
	server := command("postgres", "-D", filepath.Join(dir, "data"), "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-k", dir,
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
	logFile, err := os.Create(filepath.Join(dir, "log"))
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

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func createDatabase(ctx context.Context, base string) (string, error) {
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var id [6]byte
	_, _ = rand.Read(id[:])
	name := "monitor_" + hex.EncodeToString(id[:])
	if _, err := conn.Exec(ctx, "create database "+name); err != nil {
		return "", err
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

func dropDatabase(base, database string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	u, err := url.Parse(database)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "drop database if exists "+u.Path[1:]+" with (force)")
	return err
}

// Main runs the tests of a package on one cluster, on which each test then has a database of its own: to make a cluster takes seconds.
// Short tests need none.
func Main(m *testing.M) int {
	flag.Parse()
	if testing.Short() || os.Getenv("DATABASE_URL") != "" {
		return m.Run()
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
	return m.Run()
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
