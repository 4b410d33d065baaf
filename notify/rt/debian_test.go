package rt_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/freeport"
)

const (
	rtServer = "/usr/share/request-tracker5/libexec/rt-server"
	rtLib    = "/usr/share/request-tracker5/lib"
)

// debianRT runs Debian's Request Tracker on loopback with a database of its own, and removes every trace at the end. It
// installs the packages where that is possible.
func debianRT(t *testing.T) tracker {
	if testing.Short() {
		t.Skip("a real Request Tracker is not for -short")
	}
	install(t)
	dir := t.TempDir()
	for _, name := range []string{"conf.d", "mason", "session"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(`Set($rtname, 'rt.test'); Set($Organization, 'rt.test'); Set($WebDomain, '127.0.0.1'); Set($WebPort, $ENV{RT_TEST_PORT}); Set($WebPath, '');
Set($DatabaseType, 'SQLite'); Set($DatabaseName, '%s/rt.db'); Set($LogToSyslog, undef); Set($LogToFile, undef); Set($LogToSTDERR, 'error'); Set($BcryptCost, 4);
Set($MailCommand, 'testfile'); Set($CorrespondAddress, 'rt@rt.test'); Set($RTAddressRegexp, '^rt@rt\.test$');
$RT::MasonDataDir = '%s/mason'; $RT::MasonSessionDir = '%s/session';
1;
`, dir, dir, dir)
	site := filepath.Join(dir, "RT_SiteConfig.pm")
	if err := os.WriteFile(site, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "RT_TEST_PORT=80", "RT_SITE_CONFIG="+site, "RT_SITE_CONFIG_DIR="+filepath.Join(dir, "conf.d"), "TMPDIR="+dir)
	perl(t, env, "/usr/sbin/rt-setup-database-5", "--action", "init", "--skip-create")
	tokens := strings.Fields(perl(t, env, "perl", "-I"+rtLib, "-e", makeUsers))
	if len(tokens) != 2 {
		t.Fatalf("tokens %q", tokens)
	}
	port := serve(t, env)
	x := tracker{url: fmt.Sprintf("http://127.0.0.1:%d", port), robot: tokens[0], human: tokens[1], queue: "General", dir: dir,
		bounce: func(t *testing.T, ticket int, to string) { gateway(t, port, bounced(ticket, to)) }}
	x.hide = func(t *testing.T, ticket int) { x.put(t, ticket, map[string]any{"Queue": "Elsewhere"}) }
	return x
}

// bounced is what a mail server writes that could not bring somebody his mail (RFC 3464).
func bounced(ticket int, to string) string {
	return fmt.Sprintf(`From: MAILER-DAEMON@mx.test
To: rt@rt.test
Subject: [rt.test #%d] Mail delivery failed
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

no such user

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test

Action: failed
Final-Recipient: rfc822;%s
Status: 5.1.1
Diagnostic-Code: smtp; 550 no such user

--b--
`, ticket, to)
}

// gateway hands a mail to RT as its mail gateway does.
func gateway(t *testing.T, port int, message string) {
	t.Helper()
	resp, err := http.PostForm(fmt.Sprintf("http://127.0.0.1:%d/REST/1.0/NoAuth/mail-gateway", port),
		url.Values{"queue": {"General"}, "action": {"correspond"}, "message": {message}, "SessionType": {"REST"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, _ := io.ReadAll(resp.Body); !strings.HasPrefix(string(said), "ok") {
		t.Fatalf("the mail gateway says %s", said)
	}
}

// makeUsers makes a robot that has no more rights than the manual asks for, and a human, and prints their tokens.
const makeUsers = `
use RT; RT::LoadConfig(); RT::Init();
my $queue = RT::Queue->new(RT->SystemUser); $queue->Load("General");
my $all = RT::Group->new(RT->SystemUser); $all->LoadSystemInternalGroup("Everyone");
for my $right (qw(ReplyToTicket CreateTicket)) { # whoever writes to the mail gateway
	my ($ok, $why) = $all->PrincipalObj->GrantRight(Right => $right, Object => $queue); $ok or die "$right: $why";
}
my $other = RT::Queue->new(RT->SystemUser); $other->Create(Name => "Elsewhere"); # where the robot may see nothing
for my $name ("monitor", "alice") {
	my $user = RT::User->new(RT->SystemUser);
	my ($id, $said) = $user->Create(Name => $name, EmailAddress => "$name\@rt.test", Privileged => 1); $id or die $said;
	for my $right (qw(ShowTicket ShowTicketComments CreateTicket ReplyToTicket CommentOnTicket ModifyTicket)) {
		my ($ok, $why) = $user->PrincipalObj->GrantRight(Right => $right, Object => $queue); $ok or die "$right: $why";
	}
	if ($name eq "alice") {
		$user->PrincipalObj->GrantRight(Right => "DeleteTicket", Object => $queue);
		$user->PrincipalObj->GrantRight(Right => $_, Object => $other) for qw(ShowTicket CreateTicket ModifyTicket);
	}
	$user->PrincipalObj->GrantRight(Right => "ManageAuthTokens", Object => RT->System);
	my ($tid, $why, $token) = RT::AuthToken->new(RT::CurrentUser->new($user))->Create(Owner => $user->Id, Description => "test"); $tid or die $why;
	print "$token\n";
}`

func install(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(rtServer); err == nil {
		return
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		debian.Missing(t, "Request Tracker is not here and cannot be installed: that needs root on Debian "+
			"(apt-get install request-tracker5 rt5-standalone rt5-db-sqlite)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "request-tracker5", "rt5-standalone", "rt5-db-sqlite")
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if _, missing := os.Stat(rtServer); missing != nil {
		debian.Missing(t, "Request Tracker cannot be installed: %v: %s", err, last(out))
	}
}

func last(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

func perl(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, stderr.String())
	}
	return string(out)
}

// mostPorts is how many ports are tried: between our look for a free one and RT's start somebody may take it.
const mostPorts = 3

// serve starts RT and answers the port on which it listens.
func serve(t *testing.T, env []string) int {
	t.Helper()
	for try := 1; ; try++ {
		_, text, _ := strings.Cut(freeport.ForTest(t), ":")
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		said, ok := serveOn(t, append(env, fmt.Sprintf("RT_TEST_PORT=%d", port)), port)
		if ok {
			return port
		}
		if try == mostPorts {
			t.Fatalf("RT does not answer: %s", said)
		}
	}
}

func serveOn(t *testing.T, env []string, port int) (said string, ok bool) {
	t.Helper()
	cmd := exec.Command(rtServer, "--host", "127.0.0.1", "--port", fmt.Sprint(port))
	cmd.Env, cmd.SysProcAttr = env, &syscall.SysProcAttr{Setpgid: true}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/REST/2.0/rt", port))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusUnauthorized {
				return "", true
			}
		}
		select {
		case <-ended: // as when the port is somebody else's by now
			return log.String(), false
		default:
		}
	}
	return "no answer within three minutes", false
}
