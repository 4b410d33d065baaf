package pcucontrol_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func builtin(t *testing.T) *pcucontrol.Catalog {
	t.Helper()
	c, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authorized(s ssh.Signer) string { return string(ssh.MarshalAuthorizedKey(s.PublicKey())) }

// aDRACWithCRLF is the built-in model, but for the end of a line.
func aDRACWithCRLF(t *testing.T) *pcucontrol.Catalog {
	t.Helper()
	text, err := os.ReadFile("models/drac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "drac.yaml"), append([]byte("line: \"\\r\\n\"\n"), text...),
		0o600); err != nil {
		t.Fatal(err)
	}
	c, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAShellThatPromptsTwiceKeepsStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*pcucontrol.Catalog{"the built-in model": builtin(t), "one that ends lines in CR " +
		"LF": aDRACWithCRLF(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, r, target := raise(t, "DRAC", "ssh")
			d.Break(pcudev.TwoLines)
			for range 3 {
				if res, err := c.Cycle(enough(t), target); err != nil || !res.Verified || res.After != pcucontrol.On {
					t.Fatalf("a cycle gives %+v, %v and switched %q", res, err, r.events())
				}
			}
			await(t, "three cycles", r, "off on off on off on")
		})
	}
}

// racadm is a shell's command that switches a machine, whose state is a file.
const racadm = `#!/bin/sh
case "$*" in
getsysinfo) echo "RAC Information:"; echo "Firmware Version = 1.60";;
"serveraction powerstatus") echo "Server power status: $(cat "$STATE")";;
"serveraction powerup") echo ON >"$STATE"; echo ON >>"$STATE.log"; echo "Server power operation successful";;
"serveraction powerdown") echo OFF >"$STATE"; echo OFF >>"$STATE.log"; echo "Server power operation successful";;
"serveraction powercycle") echo OFF >"$STATE"; echo OFF >>"$STATE.log"; (sleep 1; echo ON >"$STATE"; echo ON >>"$STATE.log") >/dev/null 2>&1 & echo "Server power operation successful";;
*) echo "ERROR: Invalid subcommand specified.";;
esac
`

// sshd starts OpenSSH's server on loopback, with a shell that knows racadm.
func sshd(t *testing.T) (target pcucontrol.Target, state string) {
	t.Helper()
	if _, err := user.Lookup("sshd"); err != nil {
		if os.Geteuid() != 0 ||
			exec.Command("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "sshd").
				Run() !=
				nil {
			debian.Missing(t, "OpenSSH's server wants a user sshd")
		}
	}
	server := debian.Unpack(t, "openssh-server", "usr/sbin/sshd")
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		debian.Missing(t, "OpenSSH's server wants /run/sshd: %v", err)
	}
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	signer, key := newSigner(t)
	_, host := newSigner(t)
	state = write("state", "ON\n", 0o644)
	write("racadm", racadm, 0o755)
	shell := write(
		"shell",
		fmt.Sprintf("#!/bin/sh\nexport PATH=%s:$PATH STATE=%s PS1='[root]# '\nexec bash --norc --noprofile -i\n", dir,
			state),
		0o755,
	)
	port := freePort(t)
	conf := write(
		"sshd_config",
		fmt.Sprintf(
			"Port %d\nListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s\nForceCommand %s\nPermitRootLogin "+
				"yes\nStrictModes no\nUsePAM no\nPidFile none\n",
			port, theirAddress, write("host", host, 0o600), write("keys", authorized(signer), 0o600), shell),
		0o600,
	)
	cmd := exec.Command(server, "-D", "-e", "-f", conf)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		debian.Missing(t, "OpenSSH's server does not start: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return pcucontrol.Target{Model: "DRAC", Host: theirAddress, Port: port, User: me.Username, Password: key}, state
}

func TestADRACBehindARealSSHServerIsCycledTenTimes(t *testing.T) {
	target, state := sshd(t)
	t.Parallel()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err = models.Builtin().Test(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Unreachable {
			break
		}
	}
	if err != nil {
		t.Fatalf("a dry run gives %v", err)
	}
	crlf := aDRACWithCRLF(t)
	for i := range 10 {
		cycle := models.Builtin().Cycle
		if i%2 == 1 {
			cycle = crlf.Cycle
		}
		if res, err := cycle(enough(t), target); err != nil || !res.Verified || res.After != pcucontrol.On {
			t.Fatalf("cycle %d gives %+v, %v", i+1, res, err)
		}
	}
	if log, _ := os.ReadFile(state + ".log"); string(log) != strings.Repeat("OFF\nON\n", 10) {
		t.Errorf("ten cycles switched %q", log)
	}
}
