package pcucontrol_test

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
)

// cutPlace is where a line is cut: before a message, in the middle of it, or behind it.
type cutPlace string

const (
	cutBefore cutPlace = "before"
	cutAmid   cutPlace = "in the middle of"
	cutBehind cutPlace = "behind"
)

// cutLine is a line to a device that is cut once, at the nth message of either side.
type cutLine struct {
	at    int
	place cutPlace

	mu    sync.Mutex
	count int
	gone  bool
}

// message counts one and says how many of its bytes arrive.
func (l *cutLine) message(size int) (arrive int, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return size, false
	}
	if l.count++; l.count < l.at {
		return size, false
	}
	l.gone = true
	return map[cutPlace]int{cutBefore: 0, cutAmid: size / 2, cutBehind: size}[l.place], true
}

// lay puts the line before a device and returns the target at its near end. Over datagrams a line that was cut stays
// so.
func (l *cutLine) lay(t *testing.T, target pcucontrol.Target, network string) pcucontrol.Target {
	t.Helper()
	if network == "udp" {
		line := &badLine{}
		line.passes = func(_ bool, datagram []byte) bool {
			arrive, cut := l.message(len(datagram))
			if cut {
				line.cut.Store(true)
			}
			return arrive == len(datagram)
		}
		return line.lay(t, target)
	}
	near, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	far := net.JoinHostPort(target.Host, strconv.Itoa(target.Port))
	go func() {
		for {
			c, err := near.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", far)
			if err != nil {
				_ = c.Close()
				return
			}
			go l.carry(c, d)
			go l.carry(d, c)
		}
	}()
	target.Port = near.Addr().(*net.TCPAddr).Port
	return target
}

func (l *cutLine) carry(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		arrive, cut := l.message(n)
		if arrive > 0 {
			_, _ = to.Write(buf[:arrive])
		}
		if cut {
			return
		}
	}
}

func TestWhereverALineIsCutTheErrorSaysWhetherACommandMayHaveGoneOut(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: each model is cut off at each of its messages")
	}
	slots := make(chan struct{}, 64) // so many devices, and no more: they keep others waiting
	everyFace(t, func(t *testing.T, m pcucontrol.Model, tr pcucontrol.Transport) {
		var cuts sync.WaitGroup
		for at := range messages(t, m, tr) {
			for _, place := range []cutPlace{cutBefore, cutAmid, cutBehind} {
				if place == cutAmid && tr.Name == "udp" { // a datagram comes whole or not at all
					continue
				}
				slots <- struct{}{}
				d, r, target := raise(t, m.Name, tr.Name)
				line := &cutLine{at: at + 1, place: place}
				target = line.lay(t, target, d.Network())
				limit := 8 * time.Second  // of which a device whose states lag takes half
				if d.Network() == "udp" { // where it stays cut
					limit = 1500 * time.Millisecond
				}
				cuts.Go(func() {
					defer func() { <-slots }()
					res, err := models.Builtin().Cycle(within(t, limit), target)
					if fault := cutFault(res, err, r.events()); fault != "" {
						t.Errorf("cut %s message %d, a cycle gives %+v, %v and switched %q: %s", place, at+1, res, err,
							r.events(), fault)
					}
				})
			}
		}
		cuts.Wait()
	})
}

// messages is how many messages a whole cycle has.
func messages(t *testing.T, m pcucontrol.Model, tr pcucontrol.Transport) int {
	d, _, target := raise(t, m.Name, tr.Name)
	line := &cutLine{at: 1 << 30}
	if res, err := models.Builtin().Cycle(enough(t), line.lay(t, target, d.Network())); err != nil {
		t.Fatalf("a cycle that nobody cuts gives %+v, %v", res, err)
	}
	line.mu.Lock()
	defer line.mu.Unlock()
	return min(line.count, 100)
}

// cutFault is what is wrong with the answer to a cycle, given what the device did.
func cutFault(r pcucontrol.Result, err error, events string) string {
	var e *pcucontrol.Error
	kind := pcucontrol.KindOf(err)
	switch {
	case strings.Count(events, "off") > 1:
		return "it was cycled twice"
	case err == nil && events == "":
		return "nothing was switched"
	case err == nil && r.Verified && r.After != pcucontrol.On:
		return "verified what is not"
	case err != nil && events != "" && kind != pcucontrol.Ambiguous:
		return "the error says that nothing was sent"
	case errors.As(err, &e) && e.RetrySafe() && events != "":
		return "it says that it may be retried"
	case err != nil && strings.HasSuffix(events, "off") && r.After == pcucontrol.On:
		return "the state is stale"
	}
	return ""
}

func TestALostAnswerOfAnIPALIsAmbiguous(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]*cutLine{
		"its answer is lost":                 {at: 4, place: cutBefore}, // status, its answer, pulse, its answer
		"the pulse arrives, and that is all": {at: 3, place: cutBehind},
	} {
		t.Run(name, func(t *testing.T) {
			_, r, target := raise(t, "IPAL", "tcp")
			target = line.lay(t, target, "tcp")
			_, err := models.Builtin().TurnOff(within(t, 10*time.Second), target)
			var e *pcucontrol.Error
			if errors.As(err, &e) && (e.Kind != pcucontrol.Ambiguous || e.RetrySafe()) {
				t.Errorf("it gives %v, and switched %q", err, r.events())
			}
		})
	}
}
