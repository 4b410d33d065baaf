package pcucontrol_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
)

// farLine is a long line to a device: every byte takes half of a round trip, and the round trips are counted.
type farLine struct {
	trip time.Duration

	mu     sync.Mutex
	trips  int
	asking bool // the client spoke last
}

// lay puts the line between a target and its device, and returns the target at its near end.
func (l *farLine) lay(b *testing.B, t pcucontrol.Target, network string) pcucontrol.Target {
	far := net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	if network == "udp" {
		near, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = near.Close() })
		go l.datagrams(near, far)
		t.Port = near.LocalAddr().(*net.UDPAddr).Port
		return t
	}
	near, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = near.Close() })
	go func() {
		for {
			c, err := near.Accept()
			if err != nil {
				return
			}
			go l.call(c, far)
		}
	}()
	t.Port = near.Addr().(*net.TCPAddr).Port
	return t
}

// call carries one connection, whose making is a round trip of its own.
func (l *farLine) call(near net.Conn, address string) {
	far, err := net.Dial("tcp", address)
	if err != nil {
		_ = near.Close()
		return
	}
	l.mu.Lock()
	l.trips++
	l.mu.Unlock()
	time.Sleep(l.trip)
	hangUp := func() { _, _ = near.Close(), far.Close() }
	go l.carry(near.Read, far.Write, true, hangUp)
	l.carry(far.Read, near.Write, false, hangUp)
}

func (l *farLine) datagrams(near net.PacketConn, address string) {
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
			go l.carry(far.Read, func(p []byte) (int, error) { return near.WriteTo(p, from) }, false, func() {})
		}
		l.spoken(true)
		sent := append([]byte(nil), buf[:n]...)
		time.AfterFunc(l.trip/2, func() { _, _ = far.Write(sent) })
	}
}

// carry moves what is said, each piece half a round trip late.
func (l *farLine) carry(read, write func([]byte) (int, error), client bool, end func()) {
	type piece struct {
		due  time.Time
		text []byte
	}
	under := make(chan piece, 1024)
	go func() {
		defer close(under)
		for {
			buf := make([]byte, 32<<10)
			n, err := read(buf)
			if n > 0 {
				l.spoken(client)
				under <- piece{time.Now().Add(l.trip / 2), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	defer end()
	for p := range under {
		time.Sleep(time.Until(p.due))
		if _, err := write(p.text); err != nil {
			end()
		}
	}
}

// spoken counts a round trip whenever the device speaks after the client.
func (l *farLine) spoken(client bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !client && l.asking {
		l.trips++
	}
	l.asking = client
}

func (l *farLine) count() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.trips)
}

// minimum is how many round trips the protocol itself needs: to connect (to open a shell by ssh: TCP, versions and
// KEXINIT together, key exchange, service, password, channel, shell; by TLS: TCP and one more), to log in, and to say
// what has to be said. Leaving is not in it.
func minimum(m pcucontrol.Model, tr pcucontrol.Transport, cycle bool) (trips int, known bool) {
	connect := map[string]int{"telnet": 1, "tcp": 1, "udp": 0, "ssh": 7, "http": 1, "https": 2}
	trips, known = connect[tr.Name]
	if !known {
		return 0, false
	}
	menus := map[string]int{
		"APCControl1p4":   2,
		"APCControl12p3":  3,
		"APCControl121p3": 4,
		"APCControl13p13": 4,
		"APCControl121p1": 5,
	}
	login, status, switching := 0, 1, 2 // the command and a look at what it did
	switch {
	case m.Name == "OpenIPMI":
		login = 3         // open session, RAKP 1 and 3
		switching = 1 + 2 // privilege; the cycle and a look
	case strings.HasSuffix(m.Name, "SNMP"):
	case m.Name == "IPAL" && tr.Name == "telnet":
		login, status, switching = 1, 0, 1 // it cannot tell its state
	case m.Name == "IPAL": // each command has a connection of its own
		switching = 4
	case menus[m.Name] > 0:
		login, status, switching = 2, menus[m.Name], 3 // reboot, YES, ENTER, which shows the menu again
	case strings.HasPrefix(m.Name, "APC"):
		login = 2
	case strings.HasPrefix(m.Name, "BayTech"):
		login, switching = 2, 3 // there is a question to answer
		if m.Name == "BayTechGeorgeTown" && tr.Name == "telnet" {
			trips++ // the first call is dropped
		}
	case m.Name == "WTIIPS4":
		login, switching = 1, 3
	case m.Name == "WTINPS":
		login, switching = 2, 3
	case m.Name == "HPiLO" && tr.Name == "ssh":
		switching = 3 // cd, reset, a look
	case m.Name == "HPiLO": // each script has a connection of its own
		switching = 2 * (2 + 1)
	case m.Name == "IntelAMT": // to be asked who calls; to enumerate and to pull
		login, status, switching = 1, 2, 3
	case m.Name == "Redfish": // to find the system
		login = 1
	case m.Name == "ePowerSwitchOld":
		login, status, switching = 1, 0, 1 // it cannot tell its state
	case m.Name == "ePowerSwitchNew", m.Name == "BlackBoxPSMaverick": // to be asked who calls
		login = 1
	case m.Name != "DRAC":
		return 0, false
	}
	if tr.Name == "ssh" {
		login = 0
		if strings.HasPrefix(m.Name, "BayTech") && !strings.HasPrefix(m.Name, "BayTechRPC") &&
			m.Name != "BayTechGeorgeTown" {
			login = 1 // a menu
			if m.Name != "BayTech" {
				login = 2 // and a key before it
			}
		}
	} else if m.Name == "BayTech" {
		login = 3
	}
	trips += login + status
	if cycle {
		trips += switching
	}
	return trips, true
}

func everyLine(b *testing.B, word string, do func(*testing.B, pcucontrol.Target) error) {
	for _, m := range models.Builtin().Models() {
		for _, tr := range m.Transports {
			for _, trip := range []time.Duration{0, 50 * time.Millisecond} {
				b.Run(fmt.Sprintf("%s/%s/%dms", m.Name, tr.Name, trip.Milliseconds()), func(b *testing.B) {
					if word == "status" && !strings.Contains(strings.Join(tr.Can, " "), "status") {
						b.Skip("it cannot tell")
					}
					d, _, target := raise(b, m.Name, tr.Name)
					line := &farLine{trip: trip}
					target = line.lay(b, target, d.Network())
					for b.Loop() {
						if err := do(b, target); err != nil {
							b.Fatal(err)
						}
					}
					used := line.count() / float64(b.N)
					b.ReportMetric(used, "trips/op")
					if least, known := minimum(m, tr, word == "cycle"); known {
						b.ReportMetric(float64(least), "least-trips/op")
						b.ReportMetric(used/float64(least), "trips/least")
					}
				})
			}
		}
	}
}

func BenchmarkStatus(b *testing.B) {
	everyLine(b, "status", func(b *testing.B, t pcucontrol.Target) error {
		_, err := models.Builtin().Status(within(b, 30*time.Second), t)
		return err
	})
}

func BenchmarkCycle(b *testing.B) {
	everyLine(b, "cycle", func(b *testing.B, t pcucontrol.Target) error {
		_, err := models.Builtin().Cycle(within(b, 30*time.Second), t)
		return err
	})
}
