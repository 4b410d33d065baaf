package rt_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
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
	port := freePort(t)
	config := fmt.Sprintf(`Set($rtname, 'rt.test'); Set($Organization, 'rt.test'); Set($WebDomain, '127.0.0.1'); Set($WebPort, %d); Set($WebPath, '');
Set($DatabaseType, 'SQLite'); Set($DatabaseName, '%s/rt.db'); Set($LogToSyslog, undef); Set($LogToFile, undef); Set($LogToSTDERR, 'error');
Set($MailCommand, 'testfile'); Set($CorrespondAddress, 'rt@rt.test'); Set($RTAddressRegexp, '^rt@rt\.test$');
$RT::MasonDataDir = '%s/mason'; $RT::MasonSessionDir = '%s/session';
1;
`, port, dir, dir, dir)
	site := filepath.Join(dir, "RT_SiteConfig.pm")
	if err := os.WriteFile(site, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "RT_SITE_CONFIG="+site, "RT_SITE_CONFIG_DIR="+filepath.Join(dir, "conf.d"), "TMPDIR="+dir)
	perl(t, env, "/usr/sbin/rt-setup-database-5", "--action", "init", "--skip-create")
	tokens := strings.Fields(perl(t, env, "perl", "-I"+rtLib, "-e", makeUsers))
	if len(tokens) != 2 {
		t.Fatalf("tokens %q", tokens)
	}
	serve(t, env, port)
	return tracker{url: fmt.Sprintf("http://127.0.0.1:%d", port), robot: tokens[0], human: tokens[1], queue: "General", dir: dir}
}

// makeUsers makes a robot that has no more rights than the manual asks for, and a human, and prints their tokens.
const makeUsers = `
use RT; RT::LoadConfig(); RT::Init();
my $queue = RT::Queue->new(RT->SystemUser); $queue->Load("General");
for my $name ("monitor", "alice") {
	my $user = RT::User->new(RT->SystemUser);
	my ($id, $said) = $user->Create(Name => $name, EmailAddress => "$name\@rt.test", Privileged => 1); $id or die $said;
	for my $right (qw(SeeQueue ShowTicket ShowTicketComments CreateTicket ReplyToTicket CommentOnTicket ModifyTicket Watch)) {
		my ($ok, $why) = $user->PrincipalObj->GrantRight(Right => $right, Object => $queue); $ok or die "$right: $why";
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
		t.Skip("Request Tracker is not here and cannot be installed: that needs root on Debian (apt-get install request-tracker5 rt5-standalone rt5-db-sqlite)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "request-tracker5", "rt5-standalone", "rt5-db-sqlite")
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if _, missing := os.Stat(rtServer); missing != nil {
		t.Skipf("Request Tracker cannot be installed: %v: %s", err, last(out))
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

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func serve(t *testing.T, env []string, port int) {
	t.Helper()
	cmd := exec.Command(rtServer, "--host", "127.0.0.1", "--port", fmt.Sprint(port))
	cmd.Env, cmd.SysProcAttr = env, &syscall.SysProcAttr{Setpgid: true}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/REST/2.0/rt", port))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusUnauthorized {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("RT does not answer: %v, %+v\n%s", err, resp, log.String())
		}
	}
}
