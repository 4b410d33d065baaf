package pcucontrol_test

import (
	"bytes"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/pcudev"
)

const card = "02:00:5e:10:00:0a"

// asleep is a machine that is off, and can be woken.
func asleep(t *testing.T, secureOn string) (pcudev.Device, *pcudev.Rack, pcucontrol.Target) {
	t.Helper()
	r, err := pcudev.NewRack(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	d, target := serve(t, pcudev.Options{Model: "WakeOnLAN", Transport: "udp", User: card, Password: secureOn,
		Outlets: r})
	return d, r, target
}

// woken waits until a machine is on.
func woken(t *testing.T, r *pcudev.Rack) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if on, err := r.State(1); on && err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it is still off")
		}
	}
}

func TestAMachineIsWokenByAMagicPacket(t *testing.T) {
	t.Parallel()
	for name, secureOn := range map[string]string{"without a password": "", "with one": "01:02:03:04:05:06"} {
		t.Run(name, func(t *testing.T) {
			_, r, target := asleep(t, secureOn)
			if res, err := models.Builtin().Test(enough(t), target); err != nil || res.Verified || len(r.Events()) > 0 {
				t.Errorf("a dry run gives %+v, %v and switched %v", res, err, r.Events())
			}
			res, err := models.Builtin().TurnOn(enough(t), target)
			if err != nil || res.Verified || res.After != pcucontrol.Unknown || res.Note != "sent, not verified" {
				t.Errorf("on gives %+v, %v", res, err)
			}
			woken(t, r)
		})
	}
}

func TestAMagicPacketOnlyTurnsOn(t *testing.T) {
	t.Parallel()
	_, r, target := asleep(t, "")
	c := models.Builtin()
	for name, call := range map[string]func() (pcucontrol.Result, error){
		"status": func() (pcucontrol.Result, error) { return c.Status(enough(t), target) },
		"off":    func() (pcucontrol.Result, error) { return c.TurnOff(enough(t), target) },
		"cycle":  func() (pcucontrol.Result, error) { return c.Cycle(enough(t), target) },
		"reset":  func() (pcucontrol.Result, error) { return c.Reset(enough(t), target) },
	} {
		if _, err := call(); pcucontrol.KindOf(err) != pcucontrol.Unsupported || len(r.Events()) > 0 {
			t.Errorf("%s gives %v and switched %v", name, err, r.Events())
		}
	}
	for user, secureOn := range map[string]string{"admin": "", "02:00:5e:10": "", card: "no bytes",
		card + " ": "01:02"} {
		target.User, target.Password = user, secureOn
		if _, err := c.TurnOn(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Auth || len(r.Events()) > 0 {
			t.Errorf("for %q with %q it gives %v and switched %v", user, secureOn, err, r.Events())
		}
	}
}

// heardBy is the first datagram that comes to a port while a sender sends.
func heardBy(t *testing.T, send func(port int)) []byte {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send(c.LocalAddr().(*net.UDPAddr).Port)
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 2048)
	n, _, err := c.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestOurMagicPacketIsThatOfDebiansWakeonlan(t *testing.T) {
	wakeonlan := debian.Need(t, "wakeonlan", "wakeonlan")
	t.Parallel()
	theirs := heardBy(t, func(port int) {
		out, err := exec.CommandContext(enough(t), wakeonlan, "-i", "127.0.0.1", "-p", strconv.Itoa(port),
			card).CombinedOutput()
		if err != nil {
			t.Fatalf("wakeonlan: %v: %s", err, out)
		}
	})
	ours := heardBy(t, func(port int) {
		target := pcucontrol.Target{Model: "WakeOnLAN", Host: "127.0.0.1", Port: port, User: card}
		if _, err := models.Builtin().TurnOn(enough(t), target); err != nil {
			t.Fatal(err)
		}
	})
	if !bytes.Equal(ours, theirs) {
		t.Errorf("% x is not % x", ours, theirs)
	}
}
