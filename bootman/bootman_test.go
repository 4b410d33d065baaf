package bootman_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/testbed/fakenode"
)

var ports = map[int]int{22: 21022, 80: 21080, 806: 21806}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// next gives every node of the tests an address of its own.
var next atomic.Int32

// enter starts a node in a state and enters it.
func enter(t *testing.T, state fakenode.State, d fakenode.DebugMode) (*fakenode.Node, *bootman.Conn) {
	t.Helper()
	key := newKey(t)
	n, target := node(t, key, state, d)
	c, err := bootman.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return n, c
}

func node(t *testing.T, key ssh.Signer, state fakenode.State, d fakenode.DebugMode) (*fakenode.Node, bootman.Target) {
	t.Helper()
	n, err := fakenode.New(fakenode.Options{Host: "planetlab1.example", IP: fmt.Sprintf("127.9.7.%d", next.Add(1)), PortMap: ports, Root: key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	n.SetDebugMode(d)
	if err := n.SetState(state); err != nil {
		t.Fatal(err)
	}
	return n, bootman.Target{
		Host: n.Host, Addresses: []string{net.JoinHostPort(n.IP, strconv.Itoa(ports[22])), net.JoinHostPort(n.IP, strconv.Itoa(ports[806]))},
		User: "root", Keys: []ssh.Signer{key}, HostKey: func(ssh.PublicKey) error { return nil }, Timeout: 2 * time.Second,
	}
}

func reader(t testing.TB) *bootman.Bootman {
	t.Helper()
	b, err := bootman.New()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReading(t *testing.T) {
	for _, c := range []struct {
		name  string
		state fakenode.State
		debug fakenode.DebugMode
		want  bootman.Reading
	}{
		{"a node that runs is left alone", fakenode.Up, fakenode.DebugMode{}, bootman.Reading{State: bootman.Up}},
		{"a BootManager at work is left to it", fakenode.Debug, fakenode.DebugMode{Running: true, Dmesg: "Buffer I/O error on device dm-0, logical block 7"}, bootman.Reading{State: bootman.Debug, Running: true}},
		{"a failing disk ends the visit", fakenode.Debug, fakenode.DebugMode{Dmesg: "[  1.0] ok\n[ 12.3] Buffer I/O error on device dm-0, logical block 7\n"},
			bootman.Reading{State: bootman.Debug, Failing: []string{"[ 12.3] Buffer I/O error on device dm-0, logical block 7"}}},
		{"an empty floppy drive is no failing disk", fakenode.Debug, fakenode.DebugMode{Dmesg: "end_request: I/O error, dev fd0, sector 0\n"}, bootman.Reading{State: bootman.Debug, Sequence: "bminit-cfg-auth-getplc-update-debug-done"}},
		{"a node whose shell chatters is heard all the same", fakenode.Debug, fakenode.DebugMode{Noise: "stty: standard input: Inappropriate ioctl for device\nup 3 days\n"},
			bootman.Reading{State: bootman.Debug, Sequence: "bminit-cfg-auth-getplc-update-debug-done"}},
		{"a chattering node with a BootManager at work is left to it", fakenode.Debug, fakenode.DebugMode{Noise: "running late\n", Running: true},
			bootman.Reading{State: bootman.Debug, Running: true}},
		{"a log of nothing we know is a sequence too", fakenode.Debug, fakenode.DebugMode{Log: "Segmentation fault\n"}, bootman.Reading{State: bootman.Debug, Sequence: "done"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, conn := enter(t, c.state, c.debug)
			got, err := reader(t).Read(t.Context(), conn)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Log) == 0 && c.want.Sequence != "" {
				t.Error("the log was not kept")
			}
			got.Log, got.Since = nil, 0
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("read %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAnAnswerIsWhatACommandPrintedAndNothingElse(t *testing.T) {
	const noise = "Last login: never\n"
	_, conn := enter(t, fakenode.Debug, fakenode.DebugMode{Noise: noise, Log: "a log\n"})
	out, err := conn.Run(t.Context(), "cat /tmp/bm.log; ls /nowhere; exit 3")
	if err != nil || out.Status != 3 || string(out.Text) != "a log\n" {
		t.Errorf("the answer is %q, status %d, %v", out.Text, out.Status, err)
	}
	if !strings.Contains(string(out.Err), "nowhere") {
		t.Errorf("the errors are %q", out.Err)
	}
}

func TestACommandThatHangsHoldsNothingUp(t *testing.T) {
	_, conn := enter(t, fakenode.Debug, fakenode.DebugMode{Hangs: true})
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	started := time.Now()
	if _, err := reader(t).Read(short, conn); !errors.Is(err, bootman.ErrTimeout) || !strings.Contains(err.Error(), "dmesg") {
		t.Errorf("a hanging dmesg gives %v", err)
	}
	out, err := conn.Run(t.Context(), "cat /tmp/bm.log")
	if err != nil || !strings.Contains(string(out.Text), "Starting debug mode") {
		t.Errorf("the next command on the same connection gives %q, %v", out.Text, err)
	}
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestANodeThatHangsBeforeSSHIsGivenUpInTime(t *testing.T) {
	key := newKey(t)
	_, target := node(t, key, fakenode.Hung, fakenode.DebugMode{})
	target.Timeout = 200 * time.Millisecond
	started := time.Now()
	if _, err := bootman.Dial(t.Context(), target); !errors.Is(err, bootman.ErrTimeout) {
		t.Errorf("it gives %v", err)
	}
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestOutputIsBounded(t *testing.T) {
	_, conn := enter(t, fakenode.Debug, fakenode.DebugMode{Log: "Initializing the BootManager.\n" + strings.Repeat("a line that says nothing\n", 80_000)})
	got, err := reader(t).Read(t.Context(), conn)
	if err != nil || !got.Cut || len(got.Log) != bootman.MaxOutput || got.Sequence != "bminit-done" {
		t.Errorf("a log of 2 MB is read as %d bytes, cut %v, %q, %v", len(got.Log), got.Cut, got.Sequence, err)
	}
	if out, err := conn.Run(t.Context(), "while :; do echo and on; done"); err != nil || !out.Cut {
		t.Errorf("an endless answer gives cut %v, %v", out.Cut, err)
	}
}

func TestKeysAreChecked(t *testing.T) {
	key := newKey(t)
	n, target := node(t, key, fakenode.Debug, fakenode.DebugMode{})
	var first, second ssh.PublicKey
	keep := func(to *ssh.PublicKey) func(ssh.PublicKey) error {
		return func(k ssh.PublicKey) error { *to = k; return nil }
	}
	dial := func() error {
		c, err := bootman.Dial(t.Context(), target)
		if err == nil {
			c.Close()
		}
		return err
	}
	target.HostKey = keep(&first)
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.SetState(fakenode.Off), n.SetState(fakenode.Debug)); err != nil {
		t.Fatal(err)
	}
	target.HostKey = keep(&second)
	if err := dial(); err != nil {
		t.Fatal(err)
	}
	if string(first.Marshal()) == string(second.Marshal()) {
		t.Error("the node showed the same key after another boot from its CD")
	}
	refused := errors.New("not the key that is known")
	target.HostKey = func(ssh.PublicKey) error { return refused }
	if err := dial(); !errors.Is(err, refused) || !bootman.Denied(err) {
		t.Errorf("a key that is refused gives %v", err)
	}
	target.HostKey, target.Keys = keep(&second), []ssh.Signer{newKey(t)}
	if err := dial(); err == nil || !bootman.Denied(err) {
		t.Errorf("a key of ours that the node does not know gives %v", err)
	}
}

// told waits until the node was made to run so many programs.
func told(t *testing.T, n *fakenode.Node, count int) []string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(n.Told()) < count && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	return n.Told()
}

func TestRepairs(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(context.Context, *bootman.Conn) error
		want []string
	}{
		{"the BootManager boots", func(ctx context.Context, c *bootman.Conn) error { return bootman.RestartBootManager(ctx, c, "boot") }, []string{"BootManager.py boot"}},
		{"the BootManager reinstalls", func(ctx context.Context, c *bootman.Conn) error {
			return bootman.RestartBootManager(ctx, c, "reinstall")
		}, []string{"BootManager.py reinstall"}},
		{"file systems are repaired while nothing uses them, then booted", func(ctx context.Context, c *bootman.Conn) error { return bootman.Fsck(ctx, c, "boot") },
			[]string{"umount /tmp/mnt/sysimg/vservers", "umount /tmp/mnt/sysimg", "fsck -f -y /dev/planetlab/root", "fsck -f -y /dev/planetlab/vservers", "BootManager.py boot"}},
		{"a node restarts cleanly", func(ctx context.Context, c *bootman.Conn) error { return bootman.RestartNode(ctx, c, false) }, []string{"shutdown -r now"}},
		{"a node restarts hard: sync, unmount, boot", func(ctx context.Context, c *bootman.Conn) error { return bootman.RestartNode(ctx, c, true) }, []string{"sysrq s", "sysrq u", "sysrq b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, conn := enter(t, fakenode.Debug, fakenode.DebugMode{})
			if err := c.do(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			if got := told(t, n, len(c.want)); !slices.Equal(got, c.want) {
				t.Errorf("the node was told %q, want %q", got, c.want)
			}
		})
	}
}

func TestOnlyOneBootManagerRuns(t *testing.T) {
	n, conn := enter(t, fakenode.Debug, fakenode.DebugMode{})
	if err := bootman.RestartBootManager(t.Context(), conn, "boot"); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"a second BootManager": bootman.RestartBootManager(t.Context(), conn, "boot"),
		"a file system check":  bootman.Fsck(t.Context(), conn, "boot"),
	} {
		if !errors.Is(err, bootman.ErrRunning) {
			t.Errorf("%s gives %v", what, err)
		}
	}
	if running, _, err := bootman.Running(t.Context(), conn); err != nil || !running {
		t.Errorf("running is %v, %v", running, err)
	}
	if got := told(t, n, 1); !slices.Equal(got, []string{"BootManager.py boot"}) {
		t.Errorf("the node was told %q", got)
	}
	if err := n.FinishBootManager(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		running, _, err := bootman.Running(t.Context(), conn)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("the guard stays: %v", err)
		}
		if !running {
			break
		}
	}
	if err := bootman.RestartBootManager(t.Context(), conn, "boot; shutdown -h now"); err == nil {
		t.Error("a boot state nobody knows was taken")
	}
}

func TestSpaceIsClearedOldestFirst(t *testing.T) {
	n, conn := enter(t, fakenode.Debug, fakenode.DebugMode{Records: []string{"oldest", "older file", "newer", "newest"}})
	if said, err := bootman.ClearSpace(t.Context(), conn); err != nil || said != "cleared 2 of 4 traffic records" {
		t.Errorf("it says %q, %v", said, err)
	}
	const dir = "/tmp/mnt/sysimg/var/local/fprobe/"
	for name, want := range map[string]bool{"oldest": false, "older file": false, "newer": true, "newest": true} {
		if _, is := n.File(dir + name); is != want {
			t.Errorf("%s is there: %v", name, is)
		}
	}
}

func TestANodeKeyIsReadAndNeverLogged(t *testing.T) {
	_, conn := enter(t, fakenode.Debug, fakenode.DebugMode{Key: "s3cret/key=", Log: "NODE_KEY=\"s3cret/key=\" in conf\nnode_key: s3cret/key=\nAuthenticating node with PLC.\n"})
	if key, err := bootman.NodeKey(t.Context(), conn); err != nil || key != "s3cret/key=" {
		t.Errorf("the key is read as %q, %v", key, err)
	}
	got, err := reader(t).Read(t.Context(), conn)
	if err != nil || strings.Contains(string(got.Log), "s3cret") || got.Sequence != "auth-done" {
		t.Errorf("the log reads %q, %v", got.Log, err)
	}
	_, bare := enter(t, fakenode.Debug, fakenode.DebugMode{})
	if _, err := bootman.NodeKey(t.Context(), bare); !errors.Is(err, bootman.ErrNoKey) {
		t.Errorf("a node without configuration gives %v", err)
	}
}

func TestALostAnswerIsUncertain(t *testing.T) {
	n, conn := enter(t, fakenode.Debug, fakenode.DebugMode{})
	time.AfterFunc(200*time.Millisecond, func() { _ = n.SetState(fakenode.Off) })
	if _, err := conn.Run(t.Context(), "sleep 5"); !errors.Is(err, bootman.ErrLost) || !bootman.Uncertain(err) {
		t.Errorf("a connection that breaks gives %v", err)
	}
	if err := bootman.RestartNode(t.Context(), conn, false); !bootman.Uncertain(err) {
		t.Errorf("the next command gives %v", err)
	}
	_, up := enter(t, fakenode.Up, fakenode.DebugMode{})
	if err := bootman.RestartBootManager(t.Context(), up, "boot"); err == nil || bootman.Uncertain(err) {
		t.Errorf("a refusal gives %v", err)
	}
}
