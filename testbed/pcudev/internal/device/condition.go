package device

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Condition is what is wrong with a device, and who is in its only session.
type Condition struct {
	mu      sync.Mutex
	broken  string
	session bool
	Drops   bool        // the first connection, whatever else is wrong
	seen    bool        // a connection since it broke
	orders  map[int]int // how many orders each outlet had
}

// Network is that of most devices.
func (*Condition) Network() string { return "tcp" }

// Faults are those of every device.
func (*Condition) Faults() []Fault { return commonFaults() }

// ServePacket is not for devices that speak TCP.
func (*Condition) ServePacket(net.PacketConn) error { return errors.New("this device speaks tcp") }

// Break gives the device a fault, or several with commas between; empty mends it.
func (f *Condition) Break(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken, f.seen = fault, false
}

// Has is whether this is wrong with the device.
func (f *Condition) Has(fault string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isBroken(fault)
}

func (f *Condition) isBroken(fault string) bool {
	return slices.Contains(strings.Split(f.broken, ","), fault)
}

// Dead plays the faults that leave no conversation.
func (f *Condition) Dead(c io.ReadWriter) bool {
	if f.DropFirst() {
		return true
	}
	switch {
	case f.Has(Refuses):
		return true
	case f.Has(Mute):
		_, _ = io.Copy(io.Discard, c)
	case f.Has(Strange):
		_, _ = io.WriteString(c, "\r\nlogin: ")
		_, _ = io.Copy(io.Discard, c)
	case f.Has(Babbles):
		for {
			if _, err := io.WriteString(c, strings.Repeat("\x00\x1b[7m lorem \xff\xfe", 100)); err != nil {
				return true
			}
		}
	default:
		return false
	}
	return true
}

// One lets one session in at a time and tells the others.
func (f *Condition) One(c io.Writer, busy string, serve func()) {
	if !f.Enter() {
		_, _ = io.WriteString(c, busy)
		return
	}
	defer f.Leave()
	serve()
}

// Enter takes the session. One that is just ending is given a moment: its client has heard the goodbye already.
func (f *Condition) Enter() bool {
	for range 200 {
		if f.take() {
			return true
		}
		if f.Has(Busy) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

func (f *Condition) take() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.session || f.isBroken(Busy) {
		return false
	}
	f.session = true
	return true
}

// Leave gives the session back.
func (f *Condition) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session = false
}

// Cycle turns an outlet off, and on again in its time, unless it has another order by then.
func (f *Condition) Cycle(o Outlets, n int, off time.Duration) error {
	order := f.order(n)
	if err := o.Set(n, false); err != nil {
		return err
	}
	time.AfterFunc(off, func() {
		f.mu.Lock()
		last := f.orders[n] == order
		f.mu.Unlock()
		if last && !f.Has(StaysOff) {
			_ = o.Set(n, true)
		}
	})
	return nil
}

// order counts an order to an outlet: the last one wins.
func (f *Condition) order(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.orders == nil {
		f.orders = map[int]int{}
	}
	f.orders[n]++
	return f.orders[n]
}

// Accept serves each connection of a listener, for three minutes at most as the idle limit of such consoles has it.
func Accept(l net.Listener, serve func(net.Conn)) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(3 * time.Minute))
			serve(c)
			// A close with unread input would reset the connection, and the last words would be lost.
			if tc, ok := c.(*net.TCPConn); ok && tc.CloseWrite() == nil {
				_ = c.SetDeadline(time.Now().Add(time.Second))
				_, _ = io.Copy(io.Discard, c)
			}
		}()
	}
}

// DropFirst is whether to hang up on this connection because it is the first.
func (f *Condition) DropFirst() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	drop := (f.Drops || f.isBroken(DropsFirst)) && !f.seen
	f.seen = true
	return drop
}

// Pace makes a slow device's output come a byte at a time.
func (f *Condition) Pace(rw io.ReadWriter) io.ReadWriter {
	if f.Has(Slow) {
		return drip{rw}
	}
	return rw
}

type drip struct{ io.ReadWriter }

func (d drip) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.ReadWriter.Write(p[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(time.Millisecond)
	}
	return len(p), nil
}

// Set switches an outlet; one that stays off hears no on.
func (f *Condition) Set(o Outlets, n int, on bool) error {
	if on && f.Has(StaysOff) {
		_, err := o.State(n)
		return err
	}
	f.order(n)
	return o.Set(n, on)
}
