package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/freeport"
)

const eximPath = "/usr/sbin/exim4"

// exim is Debian's mail server with a configuration of its own: it wants STARTTLS and a login, defers later@ until told
// otherwise, refuses gone@, and refuses a message whose subject says so.
type exim struct {
	dir  string
	addr string
	pool *x509.CertPool
}

const eximConfig = `
primary_hostname = mx.test
spool_directory = DIR/spool
log_file_path = DIR/log/%%slog
pid_file_path = DIR/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = PORT
tls_advertise_hosts = *
tls_certificate = DIR/cert.pem
tls_privatekey = DIR/key.pem
auth_advertise_hosts = *
acl_smtp_rcpt = rcpt
acl_smtp_data = data

begin acl
rcpt:
  deny !authenticated = *
    message = login first
  deny recipients = gone@x.test
    message = no such user
  defer recipients = later@x.test
    !condition = ${if exists{DIR/spool/accept}}
    message = greylisted
  accept
data:
  deny condition = ${if match{$h_Subject:}{spam}}
    message = no spam here
  accept

begin routers
all:
  driver = accept
  transport = box

begin transports
box:
  driver = appendfile
  directory = DIR/spool/mail
  maildir_format
  envelope_to_add
  batch_max = 100
  user = Debian-exim
  group = Debian-exim

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{monitor}}{eq{$auth3}{s3cret}}}}
  server_advertise_condition = ${if def:tls_in_cipher}
`

func startExim(t *testing.T) exim {
	if testing.Short() {
		t.Skip("a real mail server is not for -short")
	}
	if os.Geteuid() != 0 {
		debian.Missing(t, "exim changes to its own user, which needs root")
	}
	if _, err := os.Stat(eximPath); err != nil {
		installExim(t)
	}
	account, err := user.Lookup("Debian-exim")
	if err != nil {
		debian.Missing(t, "this is not Debian's exim: %v", err)
	}
	// The tests' own folder is closed to exim's user.
	x := exim{}
	if x.dir, err = os.MkdirTemp("", "monitor-exim-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(x.dir) })
	x.addr = freeport.ForTest(t)
	config, pool := certificate(t)
	x.pool = pool
	key, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(x.addr)
	for name, text := range map[string]string{
		"exim.conf": strings.NewReplacer("DIR", x.dir, "PORT", port, "%%", "%").Replace(eximConfig),
		"cert.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificates[0].Certificate[0]})),
		"key.pem":   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	} {
		if err := os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	for _, name := range []string{"", "exim.conf", "cert.pem", "key.pem", "spool", "log"} {
		path := filepath.Join(x.dir, name)
		if name == "spool" || name == "log" {
			if err := os.Mkdir(path, 0o750); err != nil {
				t.Fatal(err)
			}
		}
		owner := uid
		if name == "exim.conf" { // exim reads no configuration that its own user could have written
			owner = 0
		}
		if err := os.Chown(path, owner, gid); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(eximPath, "-C", filepath.Join(x.dir, "exim.conf"), "-bdf")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", x.addr); err == nil {
			_ = c.Close()
			return x
		}
		if time.Now().After(deadline) {
			t.Fatalf("exim does not listen: %s%s", said.String(), x.log())
		}
	}
}

func installExim(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		debian.Missing(t, "exim is not here and cannot be installed: that needs Debian "+
			"(apt-get install exim4-daemon-light)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(
		ctx,
		"apt-get",
		"install",
		"-y",
		"--no-install-recommends",
		"-o",
		"DPkg::Lock::Timeout=300",
		"exim4-daemon-light",
	)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if _, missing := os.Stat(eximPath); missing != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		debian.Missing(t, "exim cannot be installed: %v: %s", err, lines[len(lines)-1])
	}
}

func (x exim) log() string {
	text, _ := os.ReadFile(filepath.Join(x.dir, "log", "mainlog"))
	return string(text)
}

// delivered reads what has arrived, as often as it takes for n messages, the oldest first.
func (x exim) delivered(t *testing.T, n int) []*mail.Message {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		files, _ := filepath.Glob(filepath.Join(x.dir, "spool", "mail", "new", "*"))
		if len(files) < n && time.Now().Before(deadline) {
			continue
		}
		slices.Sort(files)
		var list []*mail.Message
		for _, file := range files {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			m, err := mail.ReadMessage(f)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, m)
		}
		if len(list) != n {
			t.Fatalf("%d messages, want %d\n%s", len(list), n, x.log())
		}
		return list
	}
}

func (x exim) sender(t *testing.T, change func(*Options)) *Sender {
	t.Helper()
	o := Options{
		Addr:      x.addr,
		From:      "PlanetLab Monitor <monitor@monitor.test>",
		TLS:       TLSStartTLS,
		TLSConfig: &tls.Config{RootCAs: x.pool},
		Username:  "monitor",
		Password:  "s3cret",
		Mode:      ModeLive,
		Timeout:   2 * time.Minute,
	}
	if change != nil {
		change(&o)
	}
	s, err := NewSender(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEximTakesWhatWeSend(t *testing.T) {
	x := startExim(t)
	m := message("a@x.test", "later@x.test", "gone@x.test")
	r, err := x.sender(t, nil).Send(t.Context(), m)
	if FailureOf(err) != Temporary || !slices.Equal(r.Accepted, []string{"a@x.test"}) ||
		!slices.Equal(r.Left(), []string{"later@x.test"}) ||
		!strings.Contains(r.Rejected["gone@x.test"], "no such user") {
		t.Fatalf("the first try: %+v, %v", r, err)
	}
	if err := os.WriteFile(filepath.Join(x.dir, "spool", "accept"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	m.Only = r.Left()
	if r, err = x.sender(t, nil).Send(t.Context(), m); err != nil ||
		!slices.Equal(r.Accepted, []string{"later@x.test"}) {
		t.Fatalf("the second try: %+v, %v", r, err)
	}
	var got []string
	for _, m := range x.delivered(t, 2) {
		h := m.Header
		got = append(
			got,
			fmt.Sprint(
				h.Get("Envelope-To"),
				" ",
				h.Get("Message-ID"),
				" ",
				h.Get("In-Reply-To"),
				" ",
				strings.Join(strings.Fields(h.Get("References")), " "),
				" ",
				h.Get("Auto-Submitted"),
			),
		)
	}
	slices.Sort(got)
	for i, to := range []string{"a@x.test", "later@x.test"} {
		if want := to + " <3@monitor.test> <2@monitor.test> <1@monitor.test> <2@monitor.test> auto-generated"; got[i] != want {
			t.Errorf("got %q, want %q", got[i], want)
		}
	}

	refused := message("a@x.test", "b@x.test")
	refused.Subject = "spam"
	if r, err := x.sender(t, nil).Send(t.Context(), refused); FailureOf(err) != Permanent || len(r.Rejected) != 2 ||
		len(r.Left()) != 0 {
		t.Errorf("a refused message: %+v, %v", r, err)
	}
	for name, c := range map[string]struct {
		change func(*Options)
		want   Failure
	}{
		"a wrong password":          {func(o *Options) { o.Password = "hunter2" }, Auth},
		"no login":                  {func(o *Options) { o.Username = "" }, Permanent}, // exim's ACLs say it with a plain 550
		"a login in the clear":      {func(o *Options) { o.TLS = TLSNone }, Auth},
		"an authority nobody knows": {func(o *Options) { o.TLSConfig = nil }, TLS},
	} {
		r, err := x.sender(t, c.change).Send(t.Context(), message("a@x.test"))
		if FailureOf(err) != c.want || len(r.Accepted) != 0 || strings.Contains(err.Error(), "hunter2") ||
			strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %+v, %v (%s)", name, r, err, FailureOf(err))
		}
	}
	x.delivered(t, 2)
}

func TestEximGetsAnAddressBeyondASCIIOnlyIfItOffersThat(t *testing.T) {
	x := startExim(t)
	const wide = "jörg@x.test"
	r, err := x.sender(t, nil).Send(t.Context(), message("a@x.test", wide))
	if err != nil || !slices.Contains(r.Accepted, "a@x.test") {
		t.Fatalf("got %+v, %v", r, err)
	}
	offered := slices.Contains(r.Accepted, wide)
	if !offered && !strings.Contains(r.Rejected[wide], "SMTPUTF8") {
		t.Errorf("got %+v", r)
	}
	for _, m := range x.delivered(t, len(r.Accepted)) {
		if to := m.Header.Get("Envelope-To"); to == "a@x.test" && strings.Contains(m.Header.Get("To"), "rg@") {
			t.Errorf("%s gets a mail that names %s", to, m.Header.Get("To"))
		}
	}
	t.Logf("this exim offers SMTPUTF8: %v", offered)
}
