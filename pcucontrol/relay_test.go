package pcucontrol_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
)

// badLine is a line for datagrams between a client and a device, that loses some, doubles some, and can be cut.
type badLine struct {
	loses, doubles float64 // of the datagrams of each way
	seed           uint64
	cut            atomic.Bool
	passes         func(toDevice bool, datagram []byte) bool // nil: all do

	mu   sync.Mutex
	dice *rand.Rand
}

// lay puts the line before a device and returns the target at its near end.
func (l *badLine) lay(t testing.TB, target pcucontrol.Target) pcucontrol.Target {
	t.Helper()
	l.dice = rand.New(rand.NewPCG(1, l.seed))
	far := net.JoinHostPort(target.Host, strconv.Itoa(target.Port))
	near, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	go l.carry(near, far)
	target.Port = near.LocalAddr().(*net.UDPAddr).Port
	return target
}

func (l *badLine) carry(near net.PacketConn, address string) {
	callers := map[string]net.Conn{}
	buf := make([]byte, 64<<10)
	for {
		n, from, err := near.ReadFrom(buf)
		if err != nil {
			for _, far := range callers {
				_ = far.Close()
			}
			return
		}
		far := callers[from.String()]
		if far == nil {
			if far, err = net.Dial("udp", address); err != nil {
				return
			}
			callers[from.String()] = far
			go func() {
				back := make([]byte, 64<<10)
				for {
					n, err := far.Read(back)
					if err != nil {
						return
					}
					for range l.copies(false, back[:n]) {
						_, _ = near.WriteTo(back[:n], from)
					}
				}
			}()
		}
		for range l.copies(true, buf[:n]) {
			_, _ = far.Write(buf[:n])
		}
	}
}

// copies is how often a datagram arrives.
func (l *badLine) copies(toDevice bool, datagram []byte) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.cut.Load() || l.passes != nil && !l.passes(toDevice, datagram) || l.dice.Float64() < l.loses:
		return 0
	case l.dice.Float64() < l.doubles:
		return 2
	}
	return 1
}

func TestIPMIBearsWhatALineLosesAsIpmitoolDoes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: 400 calls over a line that loses datagrams")
	}
	ipmitool := debian.Need(t, "ipmitool", "ipmitool")
	const calls, atOnce = 200, 40
	// Each has a BMC of its own: sessions whose end is lost fill one up.
	count := func(call func(context.Context, pcucontrol.Target) error) int {
		var good atomic.Int64
		var all sync.WaitGroup
		slots := make(chan struct{}, atOnce)
		for i := range calls {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				_, _, target := raise(t, "OpenIPMI", "udp")
				line := &badLine{loses: 0.08, doubles: 0.02, seed: uint64(i)}
				if call(enough(t), line.lay(t, target)) == nil {
					good.Add(1)
				}
			})
		}
		all.Wait()
		return int(good.Load())
	}
	ours := count(func(ctx context.Context, target pcucontrol.Target) error {
		var trace strings.Builder
		start := time.Now()
		target.Trace = func(line string) { fmt.Fprintln(&trace, time.Since(start).Round(time.Millisecond), line) }
		_, err := models.Builtin().Status(ctx, target)
		if err != nil {
			t.Logf("%v, after\n%s", err, trace.String())
		}
		return err
	})
	theirs := count(func(ctx context.Context, target pcucontrol.Target) error {
		return exec.CommandContext(ctx, ipmitool, "-I", "lanplus", "-C", "3", "-H", target.Host, "-p",
			strconv.Itoa(target.Port), "-U", target.User, "-P", target.Password, "chassis", "power", "status").
			Run()
	})
	t.Logf("of %d statuses %d are answered to us, %d to ipmitool", calls, ours, theirs)
	if ours < theirs || ours == 0 {
		t.Errorf("of %d statuses %d are answered to us, %d to ipmitool", calls, ours, theirs)
	}
}

func TestAnIPMICycleDuringAnOutageEndsOnOrSaysWhatIsOwed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		offTime time.Duration
	}{{"the BMC's own cycle", 0}, {"off and on", 500 * time.Millisecond}} {
		// after how many datagrams from the BMC the line is cut for eight seconds
		for _, answers := range []int{4, 5, 6, 7, 8, 9} {
			t.Run(fmt.Sprintf("%s, cut after answer %d", c.name, answers), func(t *testing.T) {
				if testing.Short() {
					t.Skip("-short: an outage of eight seconds")
				}
				t.Parallel()
				_, r, target := raise(t, "OpenIPMI", "udp")
				line, heard := &badLine{}, 0
				line.passes = func(toDevice bool, _ []byte) bool {
					if toDevice {
						return true
					}
					if heard++; heard != answers {
						return true
					}
					line.cut.Store(true)
					time.AfterFunc(8*time.Second, func() { line.cut.Store(false) })
					return false
				}
				target = line.lay(t, target)
				target.OffTime = c.offTime
				res, err := models.Builtin().Cycle(enough(t), target)
				if err == nil && (res.After != pcucontrol.On || !res.Verified) ||
					err != nil && pcucontrol.KindOf(err) != pcucontrol.Ambiguous {
					t.Errorf("a cycle gives %+v, %v", res, err)
				}
				await(t, "a cycle", r, "off on") // and no second one
				if res.After != pcucontrol.On {
					t.Errorf("it is on, and a cycle says %+v, %v", res, err)
				}
			})
		}
	}
}

func TestAHandshakeIsBegunAnewWhereItsProofIsLost(t *testing.T) {
	for name, kind := range map[string]byte{"RAKP 2": 0x13, "RAKP 4": 0x15} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, target := raise(t, "OpenIPMI", "udp")
			var lost atomic.Int32
			line := &badLine{passes: func(toDevice bool, b []byte) bool {
				// as of a BMC that answers none of its messages twice
				if toDevice || len(b) < 6 || b[5] != kind || lost.Load() == 2 {
					return true
				}
				lost.Add(1)
				return false
			}}
			if res, err := models.Builtin().Status(enough(t), line.lay(t, target)); err != nil ||
				res.After != pcucontrol.On ||
				lost.Load() != 2 {
				t.Errorf("%+v, %v, and %d answers were lost", res, err, lost.Load())
			}
		})
	}
}

// pyghmi starts the BMC that pyghmi has, and that VirtualBMC stands on: asked for suite 17 it answers by suite 3, and
// it has no cycle.
func pyghmi(t *testing.T) (pcucontrol.Target, func() string) {
	t.Helper()
	fakebmc := debian.Need(t, "fakebmc", "python3-pyghmi")
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.LocalAddr().(*net.UDPAddr).Port
	_ = l.Close()
	cmd := exec.Command(fakebmc, "--port", strconv.Itoa(port))
	cmd.Env = append(cmd.Environ(), "PYTHONUNBUFFERED=1")
	var mu sync.Mutex
	var log strings.Builder
	cmd.Stdout = writer(func(b []byte) { mu.Lock(); defer mu.Unlock(); log.Write(b) })
	if err := cmd.Start(); err != nil {
		debian.Missing(t, "%s does not start: %v", filepath.Base(fakebmc), err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	target := pcucontrol.Target{Model: "OpenIPMI", Host: "127.0.0.1", Port: port, User: "admin", Password: "password"}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err = models.Builtin().Status(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Unreachable {
			break
		}
	}
	if err != nil {
		t.Fatalf("its status gives %v", err)
	}
	return target, func() string { mu.Lock(); defer mu.Unlock(); return log.String() }
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func TestIPMIDrivesPyghmisBMC(t *testing.T) {
	target, said := pyghmi(t)
	t.Parallel()
	target.OffTime = time.Second
	if res, err := models.Builtin().TurnOn(enough(t), target); err != nil || res.After != pcucontrol.On {
		t.Fatalf("on gives %+v, %v", res, err)
	}
	if res, err := models.Builtin().Cycle(enough(t), target); err != nil || res.After != pcucontrol.On ||
		!res.Verified {
		t.Fatalf("a cycle with an off time gives %+v, %v", res, err)
	}
	target.OffTime = 0
	if res, err := models.Builtin().Cycle(enough(t), target); err != nil || res.After != pcucontrol.On ||
		!res.Verified {
		t.Fatalf("a cycle of what has no cycle gives %+v, %v", res, err)
	}
	catalog, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range []pcucontrol.BootDevice{pcucontrol.BootNetwork, pcucontrol.BootDisk,
		pcucontrol.BootDefault} {
		if res, err := catalog.BootOnce(enough(t), target, device); err != nil || !res.Verified {
			t.Errorf("to boot from %s gives %+v, %v", device, res, err)
		}
	}
	if res, err := catalog.Shutdown(enough(t), target); err != nil || res.After != pcucontrol.Off {
		t.Errorf("a shutdown gives %+v, %v", res, err)
	}
	if _, err := catalog.Reset(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Refused {
		t.Errorf("a reset of what is off gives %v", err)
	}
	const want = "powered on\nabruptly remove power\npowered on\nabruptly remove power\npowered on\npolitely shut " +
		"down the system\n"
	for end := time.Now().Add(time.Minute); said() != want && time.Now().Before(end); { // its words come by a pipe
		time.Sleep(10 * time.Millisecond)
	}
	if said() != want {
		t.Errorf("the machine was switched so:\n%s", said())
	}
	target.Password = "guess-me"
	if _, err := models.Builtin().Status(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Auth {
		t.Errorf("a wrong password gives %v", err)
	}
}
