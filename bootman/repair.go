package bootman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrRunning says that a BootManager was at work already, so that nothing was started.
var ErrRunning = errors.New("a BootManager is running")

// The exit statuses by which our scripts say what went wrong.
const (
	statusRunning = 75 // as sysexits.h calls a failure that may pass
	statusMissing = 66 // as sysexits.h calls a missing input
)

// bootStates are what BootManager.py takes as its argument; with any other it ends at once.
var bootStates = map[string]bool{"install": true, "reinstall": true, "boot": true, "failboot": true, "safeboot": true, "disabled": true}

// background runs steps and then the BootManager behind our back, since both may take hours. The guard is taken first, in one
// step, so that no two ever run; it is given back at the end. Both are left in memory only, and so gone after a restart.
const background = `cd /tmp/source || exit 66
( set -C; : > /tmp/BM_RUNNING ) 2>/dev/null || exit 75
( trap '' HUP; %schmod +x BootManager.py; ./BootManager.py %s; rm -f /tmp/BM_RUNNING ) > /tmp/bm.monitor.out 2>&1 < /dev/null &`

// e2fsck refuses what is mounted, and the last try of the BootManager may have left both volumes so.
const fsckSteps = `umount /tmp/mnt/sysimg/vservers; umount /tmp/mnt/sysimg; fsck -f -y /dev/planetlab/root; fsck -f -y /dev/planetlab/vservers; `

// RestartBootManager starts the BootManager in a boot state, as boot or reinstall. It goes on by itself; its output is kept on the
// node in /tmp/bm.monitor.out.
func RestartBootManager(ctx context.Context, c *Conn, state string) error {
	return start(ctx, c, "restart the BootManager", "", state)
}

// Fsck checks and repairs both volumes, then starts the BootManager in a boot state. It goes on by itself.
func Fsck(ctx context.Context, c *Conn, state string) error {
	return start(ctx, c, "repair the file systems", fsckSteps, state)
}

func start(ctx context.Context, c *Conn, what, steps, state string) error {
	if !bootStates[state] {
		return fmt.Errorf("%s: the BootManager knows no boot state %q", what, state)
	}
	out, err := c.Run(ctx, fmt.Sprintf(background, steps, state))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case out.Status == statusRunning:
		return fmt.Errorf("%s: %w", what, ErrRunning)
	case out.Status != 0:
		return fmt.Errorf("%s: exit status %d, %q: %w", what, out.Status, fit(Redact(out.said())), ErrCommand)
	}
	return nil
}

// The restart waits a second, so that our question is answered before the node goes.
const (
	cleanRestart = `( trap '' HUP; sleep 1; shutdown -r now ) > /dev/null 2>&1 < /dev/null &`
	hardRestart  = `( trap '' HUP; sleep 1; echo 1 > /proc/sys/kernel/sysrq; for k in s u b; do echo $k > /proc/sysrq-trigger; sleep 1; done ) > /dev/null 2>&1 < /dev/null &`
)

// RestartNode restarts the node: cleanly, or hard by the kernel's own keys, which sync, unmount and boot even where no program
// can be started any more.
func RestartNode(ctx context.Context, c *Conn, hard bool) error {
	script := cleanRestart
	if hard {
		script = hardRestart
	}
	_, err := ask(ctx, c, "restart the node", script)
	return err
}

const clearScript = `cd /tmp/mnt/sysimg/var/local/fprobe 2>/dev/null || exit 66
n=$(ls -1 | wc -l)
ls -1tr | head -n $(((n + 1) / 2)) | while IFS= read -r f; do rm -f -- "$f"; done
echo "$(((n + 1) / 2)) of $((n))"`

// ClearSpace removes the oldest half of the traffic records that fill a node's disk, and says how many that were.
func ClearSpace(ctx context.Context, c *Conn) (string, error) {
	const what = "clear old traffic records"
	out, err := c.Run(ctx, clearScript)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", what, err)
	case out.Status == statusMissing:
		return "no traffic records to clear", nil
	case out.Status != 0:
		return "", fmt.Errorf("%s: exit status %d, %q: %w", what, out.Status, fit(Redact(out.said())), ErrCommand)
	}
	return "cleared " + fit(out.Text) + " traffic records", nil
}

// Where the BootManager looks for its configuration, but for disks that it mounts.
const keyScript = `for f in /plnode.txt /usr/boot/plnode.txt /usr/plnode.txt; do
if [ -r $f ]; then grep '^ *NODE_KEY *=' $f; exit 0; fi
done
exit 66`

// ErrNoKey says that the node's configuration, or the key in it, was not found.
var ErrNoKey = errors.New("no key in the node's configuration")

// NodeKey reads the key with which the node proves to PLC who it is. It is a secret.
func NodeKey(ctx context.Context, c *Conn) (string, error) {
	const what = "read the node's key"
	out, err := c.Run(ctx, keyScript)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	_, value, _ := strings.Cut(string(bytes.TrimSpace(out.Text)), "=")
	value = strings.TrimSpace(value)
	if len(value) < 2 || value[0] != value[len(value)-1] || value[0] != '"' && value[0] != '\'' || strings.ContainsAny(value, "\n\x00") {
		return "", fmt.Errorf("%s: %w", what, ErrNoKey)
	}
	if value = strings.TrimSpace(value[1 : len(value)-1]); value == "" {
		return "", fmt.Errorf("%s: %w", what, ErrNoKey)
	}
	return value, nil
}
