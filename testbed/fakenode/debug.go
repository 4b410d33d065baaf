package fakenode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// DebugMode is what a node in debug mode has to show. Its commands are run by a real shell, jailed to a folder of their own: every
// absolute path leads into it, and only harmless programs are found.
type DebugMode struct {
	Log     string   // /tmp/bm.log; empty: that of a boot that stopped after its update
	Dmesg   string   // what the kernel has said
	Key     string   // NODE_KEY in the node's configuration; empty: there is none
	Records []string // names of files that traffic records fill the disk with, the oldest first
	Running bool     // a BootManager is at work from the start
	Hangs   bool     // dmesg never ends
	Noise   string   // what its shell prints before it does anything, on both outputs
}

// stopped is a log as BootManager leaves it when it went into debug mode after its update.
const stopped = `10:01:02(UTC) BootManager started at: Thu, 08 Oct 2026 10:01:02 +0000
10:01:02(UTC)

Step: Initializing the BootManager.
10:01:03(UTC)

Step: Reading node configuration file.
10:01:04(UTC)

Step: Authenticating node with PLC.
10:01:05(UTC) Authentication successful.

Step: Retrieving details of node from PLC.
10:01:06(UTC)

Step: Updating node boot state at PLC.
10:01:07(UTC)

Step: Starting debug mode.
10:01:08(UTC) Starting debug environment
`

// harmless are the programs of the host that commands may use; all others are ours.
var harmless = [...]string{"cat", "chmod", "date", "find", "grep", "head", "ls", "mkdir", "rm", "sh", "sleep", "tail", "touch", "true", "wc"}

// ours stand in for programs that would hurt the host. Each tells what it was asked.
var ours = map[string]string{
	"dmesg":    `cat "$ROOT/dmesg"; while [ -e "$ROOT/hangs" ]; do sleep 0.05; done`,
	"fsck":     `echo "fsck $*" > "$ROOT/told"`,
	"umount":   `echo "umount $*" > "$ROOT/told"`,
	"shutdown": `echo "shutdown $*" > "$ROOT/told"`,
}

// bootManager runs until the world has decided what becomes of it.
const bootManager = `echo "BootManager.py $*" > "$ROOT/told"
while [ -d "$ROOT" ] && [ ! -e "$ROOT/finish" ]; do sleep 0.02; done
rm -f "$ROOT/finish"`

// jail is a node's file system while it is in debug mode.
type jail struct {
	root string
	sh   string
	ctx  context.Context
	end  func()
}

func newJail(d DebugMode, told func(string)) (*jail, error) {
	root, err := os.MkdirTemp("", "fakenode-")
	if err != nil {
		return nil, err
	}
	j := &jail{root: root}
	j.ctx, j.end = context.WithCancel(context.Background())
	if err := j.furnish(d, told); err != nil {
		j.close()
		return nil, fmt.Errorf("debug mode: %w", err)
	}
	return j, nil
}

func (j *jail) furnish(d DebugMode, told func(string)) error {
	for _, dir := range []string{"bin", "tmp/source", "proc/sys/kernel", "usr/boot", "tmp/mnt/sysimg/var/local/fprobe"} {
		if err := os.MkdirAll(filepath.Join(j.root, dir), 0o755); err != nil {
			return err
		}
	}
	for _, name := range harmless {
		path, err := exec.LookPath(name)
		if err == nil {
			err = os.Symlink(path, filepath.Join(j.root, "bin", name))
		}
		if err != nil {
			return err
		}
		if name == "sh" {
			j.sh = path
		}
	}
	programs := map[string]string{"tmp/source/BootManager.py": bootManager}
	for name, body := range ours {
		programs["bin/"+name] = body
	}
	for name, body := range programs {
		if err := j.write(name, "#!"+j.sh+"\n"+body+"\n", 0o755); err != nil {
			return err
		}
	}
	log := d.Log
	if log == "" {
		log = stopped
	}
	files := map[string]string{"tmp/bm.log": log, "dmesg": d.Dmesg}
	if d.Key != "" {
		files["usr/boot/plnode.txt"] = "NODE_ID=\"7\"\nNODE_KEY=\"" + d.Key + "\"\nIP_METHOD=\"static\"\n"
	}
	if d.Noise != "" {
		files["noise"] = d.Noise
	}
	if d.Running {
		files["tmp/BM_RUNNING"] = ""
	}
	if d.Hangs {
		files["hangs"] = ""
	}
	for name, text := range files {
		if err := j.write(name, text, 0o644); err != nil {
			return err
		}
	}
	for i, name := range d.Records {
		path := filepath.Join("tmp/mnt/sysimg/var/local/fprobe", name)
		at := time.Now().Add(time.Duration(i-len(d.Records)) * time.Hour)
		if err := errors.Join(j.write(path, "records", 0o644), os.Chtimes(filepath.Join(j.root, path), at, at)); err != nil {
			return err
		}
	}
	sysrq := func(key string) { told("sysrq " + key) }
	return errors.Join(j.listen("told", told), j.listen("proc/sysrq-trigger", sysrq))
}

func (j *jail) write(name, text string, mode os.FileMode) error {
	return os.WriteFile(filepath.Join(j.root, name), []byte(text), mode)
}

// listen makes a pipe and tells every line that is written to it.
func (j *jail) listen(name string, told func(string)) error {
	path := filepath.Join(j.root, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return err
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	context.AfterFunc(j.ctx, func() { _ = pipe.Close() })
	go func() {
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			told(strings.ReplaceAll(lines.Text(), j.root, ""))
		}
	}()
	return nil
}

// absolute finds where a path begins that does not lead into the jail yet.
var absolute = regexp.MustCompile("(^|[\\s=<>\"'`(;&|])/([a-zA-Z])")

// run answers with the exit status of a command; ok is false when the node was gone before its end.
func (j *jail) run(out, errs io.Writer, command string) (status uint32, ok bool) {
	command = absolute.ReplaceAllString(command, "${1}"+j.root+"/${2}")
	command = strings.ReplaceAll(command, j.root+"/dev/null", "/dev/null")
	cmd := exec.CommandContext(j.ctx, j.sh, "-c", command)
	cmd.Dir, cmd.Env = j.root, []string{"PATH=" + j.root + "/bin", "ROOT=" + j.root}
	if noise, err := os.ReadFile(filepath.Join(j.root, "noise")); err == nil {
		_, _ = out.Write(noise)
		_, _ = errs.Write(noise)
	}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, errs, time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case j.ctx.Err() != nil:
		return 0, false
	case errors.As(err, &exit):
		return uint32(exit.ExitCode()), true
	case err != nil:
		return 126, true
	}
	return 0, true
}

// close ends what still runs and removes all files. Programs that were left behind see that and end by themselves.
func (j *jail) close() {
	j.end()
	_ = os.RemoveAll(j.root)
}

// SetDebugMode says what the node shows from its next boot into debug mode on.
func (n *Node) SetDebugMode(d DebugMode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.debug = d
}

// FinishBootManager ends a BootManager that runs, in debug mode again with its log as it was.
func (n *Node) FinishBootManager() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.jail == nil {
		return fmt.Errorf("%s is not in debug mode", n.Host)
	}
	return n.jail.write("finish", "", 0o644)
}

// Told are the programs that the node was made to run in debug mode and that matter to the world, in order.
func (n *Node) Told() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.told)
}

// File reads a file of a node in debug mode; ok is false when there is none.
func (n *Node) File(path string) (text string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.jail == nil {
		return "", false
	}
	b, err := os.ReadFile(filepath.Join(n.jail.root, path))
	return string(b), err == nil
}

// enterDebugMode furnishes the node's memory and makes a host key, as every boot from the CD does; n.mu is held.
func (n *Node) enterDebugMode() error {
	key, err := newHostKey()
	if err != nil {
		return err
	}
	j, err := newJail(n.debug, func(what string) {
		n.mu.Lock()
		n.told = append(n.told, what)
		happens := n.happens
		n.mu.Unlock()
		if happens != nil {
			happens(what)
		}
	})
	if err != nil {
		return err
	}
	n.debugKey, n.jail = key, j
	n.closes = append(n.closes, func() {
		j.close()
		n.jail = nil
	})
	return nil
}

// ShownKey is the key that the node shows now.
func (n *Node) ShownKey() ssh.PublicKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == Debug {
		return n.debugKey.PublicKey()
	}
	return n.hostKey.PublicKey()
}

// HostKey is the key by which the node is known when it runs.
func (n *Node) HostKey() ssh.PublicKey { return n.hostKey.PublicKey() }
