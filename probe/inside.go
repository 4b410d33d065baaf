package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/clean"
)

// Script is the one command that reads a node from inside. Every fact is a line key=value; anything that could hang on a broken disk runs
// under its own short limit where the node has timeout(1), and what is most likely to hang comes last: what was said before still counts.
// All limits together keep to the budget, of which the files that are read first may use half: a slow CD must not cost us the rest, nor look
// like a node that hangs. Its first line names its version. BootServer is what PLC has configured; empty: only what the boot CD names is
// asked for. The operator's own facts come after its end: whatever they do, the look is whole.
func Script(bootServer string, budget time.Duration, facts ...Fact) string {
	seconds := max(2, int(budget/time.Second))
	var questions strings.Builder
	for _, f := range facts {
		questions.WriteString(f.script())
	}
	return fmt.Sprintf("# monitor-probe 1\nasked='%s'\nbudget=%d\n", strings.ReplaceAll(bootServer, "'", ""), seconds) + script + questions.String()
}

// The write test follows PlanetLab's own, since a disk with errors may stay mounted read-write. Its file is removed at once.
const script = `now() { date +%s; }
begun=$(now)
until=$((begun + budget / 2))
# t runs what may hang. 99: there was no time for it; 98: it was cut short, and might have come to its end in three seconds.
t() {
	command -v timeout >/dev/null 2>&1 || { "$@" 2>/dev/null; return; }
	left=$((until - $(now)))
	[ "$left" -ge 1 ] || return 99
	[ "$left" -le 3 ] || left=3
	timeout "$left" "$@" 2>/dev/null
	code=$?
	[ "$code" -ne 124 ] || [ "$left" -ge 3 ] || return 98
	return "$code"
}
echo "kernel=$(uname -a)"
if [ -e /tmp/bm.log ] || [ -e /tmp/source/BootManager.py ]; then echo bootmanager=1; else echo bootmanager=0; fi
id=$(t cat /mnt/cdrom/bootme/ID || t cat /usr/bootme/ID); echo "bootcd=$id"
server=$(t cat /mnt/cdrom/bootme/BOOTSERVER || t cat /usr/bootme/BOOTSERVER); echo "bootserver=$server"
echo "uptime=$(cut -d. -f1 /proc/uptime)"
if pgrep -f '[n]odemanager|[n]m\.py' >/dev/null 2>&1; then echo nodemanager=1; else echo nodemanager=0; fi
until=$((begun + budget))
echo "readonly=$(awk '$1 ~ "^/dev/" && $2 !~ "cdrom" && $4 ~ "^ro(,|$)" {printf "%s ", $2}' /proc/mounts)"
[ -n "$asked" ] || asked=$server
if [ -n "$asked" ] && command -v getent >/dev/null 2>&1; then
	echo "asked=$asked"
	t getent hosts "$asked" >/dev/null
	case $? in
	0) echo dns=ok ;;
	98 | 99) echo dns=unknown ;;
	*) echo dns=fails ;;
	esac
fi
echo "install=$(t stat -c %Z /usr/boot/plnode.txt || t stat -c %Z /usr/boot/cacert.pem)"
for d in /var/log /vservers; do
	[ -d $d ] || continue
	echo "write=$d begun"
	said=$(LC_ALL=C t sh -c '{ echo monitor > "$0" && rm -f "$0"; } 2>&1' $d/.monitor-write-test)
	case "$?:$said" in
	0:*) echo "write=$d ok" ;;
	98:* | 99:*) echo "write=$d untested" ;;
	124:*) echo "write=$d hangs" ;;
	*[Rr]ead-only*) echo "write=$d read-only" ;;
	*) echo "write=$d fails" "$(echo "$said" | head -n 1)" ;;
	esac
done
echo end=1
`

// maxOutput bounds what is read of a node's answer.
const maxOutput = 64 << 10

// Inside is what a node says of itself.
type Inside struct {
	Kernel      string            `json:"kernel,omitempty"` // uname -a
	BootManager bool              `json:"boot_manager,omitempty"`
	BootCD      string            `json:"boot_cd,omitempty"`
	BootServer  string            `json:"boot_server,omitempty"` // that of the boot CD
	Uptime      time.Duration     `json:"uptime,omitempty"`
	Booted      time.Time         `json:"-"` // when, by our clock
	NodeManager bool              `json:"node_manager,omitempty"`
	ReadOnly    []string          `json:"read_only,omitempty"` // mount points of disks that are mounted read-only
	Asked       string            `json:"asked,omitempty"`     // the boot server that was asked for
	DNS         string            `json:"dns,omitempty"`       // whether it resolves from there: ok or fails
	Installed   time.Time         `json:"installed,omitzero"`
	Writes      map[string]string `json:"writes,omitempty"` // outcome of the write test by folder, where it did not pass
	Own         map[string]string `json:"own,omitempty"`    // answers to the operator's own facts
}

// Outcomes of a write test that begin so come from the disk. Others, as a disk that is full, do not.
const (
	writeOK       = "ok"
	writeUntested = "untested" // there was no time for it
	writeBegun    = "begun"    // and never ended
	writeHangs    = "hangs"
	writeReadOnly = "read-only"
	writeError    = "Input/output error"
)

// Unwritable are the mount points and folders that cannot be written because of their disk.
func (in Inside) Unwritable() []string {
	out := slices.Clone(in.ReadOnly)
	for _, dir := range slices.Sorted(maps.Keys(in.Writes)) {
		how := in.Writes[dir]
		if (how == writeHangs || how == writeReadOnly || strings.Contains(how, writeError)) && !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return out
}

// parseInside reads the script's output; lines it does not know are passed over. It is whole when it has its end, or when the node was lost
// in a write test, before which everything else was said.
func parseInside(out string) (in Inside, whole bool) {
	for line := range strings.Lines(out) {
		key, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if !found {
			continue
		}
		if key == "fact" { // which may be longer than a line of ours
			in.own(value)
			continue
		}
		value = clean.Line(value)
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
		case "asked":
			in.Asked = value
		case "dns":
			in.DNS = value
		case "install":
			if s, err := strconv.ParseInt(value, 10, 64); err == nil && s > 0 && s < 1<<33 {
				in.Installed = time.Unix(s, 0).UTC()
			}
		case "write":
			in.wrote(value)
		case "end":
			whole = true
		}
	}
	for dir, how := range in.Writes {
		if how == writeBegun {
			in.Writes[dir], whole = writeHangs, true
		}
	}
	if in.Asked == "" && in.DNS != "" {
		in.Asked = in.BootServer
	}
	return in, whole
}

// mostWrites bounds what a node may say of write tests.
const mostWrites = 8

func (in *Inside) wrote(value string) {
	dir, how, _ := strings.Cut(value, " ")
	if how == writeOK || how == writeUntested {
		delete(in.Writes, dir)
		return
	}
	if in.Writes == nil {
		in.Writes = map[string]string{}
	}
	if len(in.Writes) < mostWrites {
		in.Writes[dir] = how
	}
}

// HostKeys remembers the key each host showed last and was believed. The zero value is empty and ready: it believes the
// first key that it meets, and no change.
type HostKeys struct {
	// Believe is asked about each key that is not the one of the last look, and so also about the first since this
	// program started: what it remembers outlives us, and is shared with everybody who enters nodes. It answers
	// ErrHostKey for a key that is not believed; any other error is a fault of ours.
	Believe func(ctx context.Context, host string, key ssh.PublicKey) error

	mu   sync.Mutex
	keys map[string]string
}

// ErrHostKey says that a node shows another ssh host key than it should.
var ErrHostKey = errors.New("the host key has changed")

func (h *HostKeys) check(ctx context.Context, host string, key ssh.PublicKey) error {
	is := string(key.Marshal())
	h.mu.Lock()
	was, known := h.keys[host]
	h.mu.Unlock()
	switch {
	case known && was == is:
		return nil
	case h.Believe != nil:
		if err := h.Believe(ctx, host, key); err != nil {
			return err
		}
	case known:
		return ErrHostKey
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keys == nil {
		h.keys = map[string]string{}
	}
	h.keys[host] = is
	return nil
}

// mostKeys is how many keys are offered in one login: sshd ends it after six failures (MaxAuthTries), of which one may be its own.
const mostKeys = 5

// keyRing remembers which of the keys opened a host last, and offers it first: a node has one key in production and another in debug mode.
type keyRing struct {
	keys []ssh.Signer
	mu   sync.Mutex
	last map[string]int
}

// offer lists the keys for one login, and says afterwards which of them the host took.
func (r *keyRing) offer(host string) (keys []ssh.Signer, took func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := -1
	for i := range r.keys {
		keys = append(keys, noted{r.keys[i], func() { used = i }})
	}
	if i := r.last[host]; i < len(keys) {
		first := keys[i]
		keys = slices.Insert(slices.Delete(keys, i, i+1), 0, first)
	}
	return keys, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if used > 0 {
			r.last[host] = used
		} else {
			delete(r.last, host)
		}
	}
}

// noted is a key that tells when it is made to sign: a client signs only with a key that the host has said it takes.
type noted struct {
	ssh.Signer
	signs func()
}

func (n noted) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	n.signs()
	return n.Signer.Sign(rand, data)
}

// SignWithAlgorithm lets RSA keys sign by SHA-2, which is all that hosts of today take.
func (n noted) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	n.signs()
	if s, ok := n.Signer.(ssh.AlgorithmSigner); ok {
		return s.SignWithAlgorithm(rand, data, algorithm)
	}
	return n.Signer.Sign(rand, data)
}

// greeted is a connection on which the other side has begun to speak.
type greeted struct {
	net.Conn
	said *bufio.Reader
}

func (g greeted) Read(b []byte) (int, error) { return g.said.Read(b) }

// greeting connects and waits until the node says something, as an ssh server does first (RFC 4253, 4.2). Only then is a login begun: a node
// that takes connections and says nothing keeps nobody waiting.
func (p *Prober) greeting(ctx context.Context, ip string, port int) (net.Conn, SSHResult) {
	fail := func(failure, detail string) (net.Conn, SSHResult) {
		return nil, SSHResult{Port: port, Failure: failure, Detail: clean.Text(detail)}
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address(ip, port))
	if err != nil {
		if failure := dialFailure(err); failure != ours {
			return fail(failure, "")
		}
		return fail(ours, withoutAddresses(err))
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	g := greeted{conn, bufio.NewReader(conn)}
	if _, err := g.said.Peek(1); err != nil {
		_ = conn.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fail(Timeout, "connected, but ssh says nothing")
		}
		return fail(Broken, withoutAddresses(err))
	}
	return g, SSHResult{}
}

// inside logs in and reads the node. It waits for its turn, and once the node has greeted, for a place among the logins.
func (p *Prober) inside(ctx context.Context, t Target, ip string, port int, turn *turn) (Inside, SSHResult) {
	missed := SSHResult{Port: port, Failure: ours, Detail: "its turn did not come"}
	if err := turn.goOn(ctx); err != nil {
		return Inside{}, missed
	}
	conn, res := p.greeting(ctx, ip, port)
	turn.answered()
	if conn == nil {
		return Inside{}, res
	}
	defer conn.Close()
	if err := take(ctx, p.lanes.logins); err != nil {
		return Inside{}, missed
	}
	defer give(p.lanes.logins)
	return p.session(ctx, t.Host, ip, port, conn)
}

// session shakes hands and runs the script.
func (p *Prober) session(ctx context.Context, host, ip string, port int, conn net.Conn) (Inside, SSHResult) {
	fail := func(failure string, err error) (Inside, SSHResult) {
		r := SSHResult{Port: port, Failure: failure}
		if err != nil {
			r.Detail = clean.Text(withoutAddresses(err))
		}
		return Inside{}, r
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	keys, took := p.keys.offer(host)
	var keyErr error
	c, chans, reqs, err := ssh.NewClientConn(conn, ip, &ssh.ClientConfig{
		User: p.o.SSHUser, Auth: []ssh.AuthMethod{ssh.PublicKeys(keys...)}, Timeout: p.o.Timeout,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			keyErr = p.o.HostKeys.check(ctx, host, key)
			return keyErr
		},
	})
	switch {
	case errors.Is(keyErr, ErrHostKey):
		return fail(HostKeyChanged, ErrHostKey)
	case keyErr != nil:
		return fail(ours, fmt.Errorf("its host key could not be compared: %w", keyErr))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail(Timeout, errors.New("connected, but ssh says nothing"))
	case err != nil && strings.Contains(err.Error(), "unable to authenticate"):
		return fail(KeyDenied, nil)
	case err != nil:
		return fail(Broken, err)
	}
	took()
	client := ssh.NewClient(c, chans, reqs)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return fail(Hang, err)
	}
	defer session.Close()
	out := &capped{left: maxOutput}
	session.Stdout = out
	err = session.Run(Script(p.o.BootServer, time.Until(deadline)-time.Second, p.o.Facts...))
	in, whole := parseInside(out.String())
	if whole {
		if in.Uptime > 0 {
			in.Booted = time.Now().Add(-in.Uptime)
		}
		return in, SSHResult{OK: true, Port: port}
	}
	if err == nil {
		err = errors.New("the answer has no end")
	}
	if !time.Now().Before(deadline) || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "without exit status") {
		return fail(Hang, err)
	}
	return fail(Strange, err)
}

// withoutAddresses is what an error says but for the ports of one connection: what is the same failure must read the same, or each look
// would seem to have found something new.
func withoutAddresses(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// capped keeps the first bytes of a stream and drops the rest.
type capped struct {
	mu   sync.Mutex // a session that is given up may still be written
	buf  bytes.Buffer
	left int
}

func (c *capped) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(b), c.left)
	c.left -= n
	c.buf.Write(b[:n])
	return len(b), nil
}

func (c *capped) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}
