package probe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Script is the one command that reads a node from inside. Every fact is a line key=value; anything that could hang on a
// broken disk runs under its own short limit where the node has timeout(1). Its first line names its version.
const Script = `# monitor-probe 1
t() { if command -v timeout >/dev/null 2>&1; then timeout 3 "$@"; else "$@"; fi 2>/dev/null; }
echo "kernel=$(uname -a)"
if [ -e /tmp/bm.log ] || [ -e /tmp/source/BootManager.py ]; then echo bootmanager=1; else echo bootmanager=0; fi
id=$(t cat /mnt/cdrom/bootme/ID || t cat /usr/bootme/ID); echo "bootcd=$id"
server=$(t cat /mnt/cdrom/bootme/BOOTSERVER || t cat /usr/bootme/BOOTSERVER); echo "bootserver=$server"
echo "uptime=$(cut -d. -f1 /proc/uptime)"
if pgrep -f nodemanager >/dev/null 2>&1; then echo nodemanager=1; else echo nodemanager=0; fi
echo "readonly=$(awk '$1 ~ "^/dev/" && $2 !~ "cdrom" && $4 ~ "^ro" {printf "%s ", $2}' /proc/mounts)"
if [ -n "$server" ]; then if t getent hosts "$server" >/dev/null; then echo dns=ok; else echo dns=fails; fi; fi
echo "install=$(t stat -c %Y /etc/planetlab)"
echo end=1
`

// maxOutput bounds what is read of a node's answer.
const maxOutput = 64 << 10

// Inside is what a node says of itself.
type Inside struct {
	Kernel      string        `json:"kernel,omitempty"` // uname -a
	BootManager bool          `json:"boot_manager,omitempty"`
	BootCD      string        `json:"boot_cd,omitempty"`
	BootServer  string        `json:"boot_server,omitempty"`
	Uptime      time.Duration `json:"uptime,omitempty"`
	NodeManager bool          `json:"node_manager,omitempty"`
	ReadOnly    []string      `json:"read_only,omitempty"` // mount points of disks that are read-only
	DNS         string        `json:"dns,omitempty"`       // whether the boot server resolves from there
	Installed   time.Time     `json:"installed,omitzero"`
}

// parseInside reads the script's output; lines it does not know are passed over. ok is false when the end is missing.
func parseInside(out string) (in Inside, ok bool) {
	for line := range strings.Lines(out) {
		key, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if !found {
			continue
		}
		value = strings.ToValidUTF8(strings.ReplaceAll(value, "\x00", ""), "?")
		switch key {
		case "kernel":
			in.Kernel = value
		case "bootmanager":
			in.BootManager = value == "1"
		case "bootcd":
			in.BootCD = value
		case "bootserver":
			in.BootServer = value
		case "uptime":
			if s, err := strconv.ParseInt(value, 10, 32); err == nil && s >= 0 {
				in.Uptime = time.Duration(s) * time.Second
			}
		case "nodemanager":
			in.NodeManager = value == "1"
		case "readonly":
			in.ReadOnly = strings.Fields(value)
		case "dns":
			in.DNS = value
		case "install":
			if s, err := strconv.ParseInt(value, 10, 64); err == nil && s > 0 {
				in.Installed = time.Unix(s, 0).UTC()
			}
		case "end":
			ok = true
		}
	}
	return in, ok
}

// HostKeys remembers the key each host showed last and was believed. The zero value is empty and ready, and believes no change.
type HostKeys struct {
	// MayChange is asked whether a host may show another key from now on, as after a reinstall or in debug mode.
	MayChange func(ctx context.Context, host string, key ssh.PublicKey) bool

	mu   sync.Mutex
	keys map[string]string
}

var errHostKey = errors.New("the host key has changed")

func (h *HostKeys) check(ctx context.Context, host string, key ssh.PublicKey) error {
	is := string(key.Marshal())
	h.mu.Lock()
	was, known := h.keys[host]
	h.mu.Unlock()
	if known && was != is && (h.MayChange == nil || !h.MayChange(ctx, host, key)) {
		return errHostKey
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keys == nil {
		h.keys = map[string]string{}
	}
	h.keys[host] = is
	return nil
}

func (p *Prober) inside(ctx context.Context, host, ip string, port int) (Inside, SSHResult) {
	fail := func(failure string, err error) (Inside, SSHResult) {
		r := SSHResult{Port: port, Failure: failure}
		if err != nil {
			r.Detail = err.Error()
		}
		return Inside{}, r
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address(ip, port))
	if err != nil {
		return fail(dialFailure(err), nil)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	var auth []ssh.AuthMethod
	if p.o.SSHKey != nil {
		auth = append(auth, ssh.PublicKeys(p.o.SSHKey))
	}
	var keyErr error
	c, chans, reqs, err := ssh.NewClientConn(conn, ip, &ssh.ClientConfig{
		User: p.o.SSHUser, Auth: auth, Timeout: p.o.Timeout,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			keyErr = p.o.HostKeys.check(ctx, host, key)
			return keyErr
		},
	})
	switch {
	case keyErr != nil:
		return fail(HostKeyChanged, keyErr)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail(Timeout, errors.New("connected, but ssh says nothing"))
	case err != nil && strings.Contains(err.Error(), "unable to authenticate"):
		return fail(KeyDenied, nil)
	case err != nil:
		return fail(Broken, err)
	}
	client := ssh.NewClient(c, chans, reqs)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return fail(Hang, err)
	}
	defer session.Close()
	out := &capped{left: maxOutput}
	session.Stdout = out
	err = session.Run(Script)
	in, whole := parseInside(out.String())
	if whole {
		return in, SSHResult{OK: true, Port: port}
	}
	if err == nil {
		err = errors.New("the answer has no end")
	}
	if !time.Now().Before(deadline) || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "without exit status") {
		return fail(Hang, err)
	}
	return fail(Broken, err)
}

// capped keeps the first bytes of a stream and drops the rest.
type capped struct {
	bytes.Buffer
	left int
}

func (c *capped) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	c.Buffer.Write(b[:n])
	return len(b), nil
}
