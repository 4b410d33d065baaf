package pcucontrol_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
)

// listener counts who comes, and says something to them.
func listener(t *testing.T, says string) (port int, came *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	came = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, says)
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, came
}

// driving is a driver that connects, and notes by which route it was asked.
type driving struct{ asked *[]string }

func (d driving) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	*d.asked = append(*d.asked, t.Transport)
	return pcucontrol.Result{}, &pcucontrol.Error{
		Kind:   pcucontrol.Unexpected,
		Host:   t.Host,
		Doing:  "greet",
		Detail: "noise",
	}
}

func (d driving) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	return d.Test(ctx, t)
}

func (d driving) Switch(ctx context.Context, t pcucontrol.Target, _ pcucontrol.Operation) (pcucontrol.Result, error) {
	return d.Test(ctx, t)
}

func TestAGarbledSSHPortDoesNotSendThePasswordOverTelnet(t *testing.T) {
	sshPort, _ := listener(t, "noise\r\n")
	openPort, _ := listener(t, "User Name : ")
	spared, telnets := listener(t, "User Name : ") // nobody may knock here
	var asked []string
	route := func(name string, port int) pcucontrol.Route {
		return pcucontrol.Route{Transport: pcucontrol.Transport{Name: name, Port: port}, Driver: driving{&asked}}
	}
	catalog := pcucontrol.NewCatalog([]pcucontrol.Model{
		pcucontrol.NewModel("Open", "", false, route("telnet", openPort), route("ssh", sshPort)),
		pcucontrol.NewModel("Both", "", false, route("telnet", spared), route("ssh", sshPort)),
		pcucontrol.NewModel("Old", "", false, route("telnet", spared), route("http", spared)),
	})
	target := pcucontrol.Target{Model: "Open", Host: "127.0.0.1", User: "apc", Password: "s3cret"}
	if _, err := catalog.Test(t.Context(), target); err == nil || strings.Join(asked, " ") != "ssh telnet" {
		t.Errorf("what keeps the password to itself goes first: asked %q, %v", asked, err)
	}
	asked, target.Model, target.NoClearText = nil, "Both", true
	if _, err := catalog.Test(t.Context(), target); err == nil || strings.Join(asked, " ") != "ssh" {
		t.Errorf("without clear text: asked %q, %v", asked, err)
	}
	asked, target.Model = nil, "Old"
	_, err := catalog.Test(t.Context(), target)
	if pcucontrol.KindOf(err) != pcucontrol.Refused || !strings.Contains(err.Error(), "in the clear") || asked != nil {
		t.Errorf("a model that speaks nothing else: asked %q, %v", asked, err)
	}
	if n := telnets.Load(); n != 0 {
		t.Errorf("%d connections were made to where the password would travel in the clear", n)
	}
}

func TestSNMPTellsItsCommunityToEverybodyButInVersion3(t *testing.T) {
	catalog, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	for user, clear := range map[string]bool{"": true, "apc": true, "v2c": true, "v3 monitor sha aes": false} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, err := catalog.Test(
			ctx,
			pcucontrol.Target{
				Model:       "APCSNMP",
				Host:        "127.0.0.1",
				Port:        1,
				User:        user,
				Password:    "s3cret s3cret",
				NoClearText: true,
			},
		)
		cancel()
		if got := err != nil && strings.Contains(err.Error(), "in the clear"); got != clear {
			t.Errorf("%q: %v", user, err)
		}
	}
}

func TestNothingIsSentToAnAddressThatIsNotAllowed(t *testing.T) {
	catalog, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	port, came := listener(t, "User Name : ")
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	may := func(to netip.Addr) error {
		if to.IsLoopback() {
			return errors.New("a PCU is not on this machine")
		}
		return nil
	}
	for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1"} {
		for model, p := range map[string]int{"APCControl12p3": port, "HPiLO": port, "Redfish": port, "ePowerSwitchNew": port, "IPAL": port,
			"OpenIPMI": udp.LocalAddr().(*net.UDPAddr).Port, "APCSNMP": udp.LocalAddr().(*net.UDPAddr).Port} {
			target := pcucontrol.Target{
				Model:          model,
				Host:           host,
				Port:           p,
				User:           "apc",
				Password:       "s3cret",
				Outlet:         1,
				MayConnect:     may,
				ConnectTimeout: time.Second,
			}
			for _, do := range []func(context.Context, pcucontrol.Target) (pcucontrol.Result, error){catalog.Test, catalog.Cycle, catalog.Status} {
				if _, err := do(t.Context(), target); pcucontrol.KindOf(err) != pcucontrol.Refused ||
					!strings.Contains(err.Error(), "not on this machine") {
					t.Errorf("%s at %s: %v", model, host, err)
				}
			}
		}
	}
	_ = udp.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := udp.ReadFrom(make([]byte, 2000)); err == nil || came.Load() != 0 {
		t.Errorf("%d connections and %d bytes came", came.Load(), n)
	}
}

// What a name means may change between the look and the connection: each connection asks again.
func TestAnAddressIsAskedAboutAtEachConnection(t *testing.T) {
	port, came := listener(t, "User Name : ")
	catalog, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	target := pcucontrol.Target{
		Model:          "APCControl12p3",
		Transport:      "telnet",
		Host:           "127.0.0.1",
		Port:           port,
		User:           "apc",
		Password:       "s3cret",
		Outlet:         1,
		ConnectTimeout: time.Second,
		MayConnect: func(netip.Addr) error {
			if asked++; asked > 1 {
				return errors.New("it has moved")
			}
			return nil
		},
	}
	if _, err := catalog.Test(t.Context(), target); err == nil || came.Load() != 0 || asked < 2 {
		t.Errorf("%d connections, asked %d times, %v", came.Load(), asked, err)
	}
}

// A driver that speaks datagrams dials what it is given: an address that was asked about, and never a name.
func TestADatagramDriverIsNotAskedWhereTheNameHasMoved(t *testing.T) {
	var asked []string
	catalog := pcucontrol.NewCatalog([]pcucontrol.Model{pcucontrol.NewModel("Datagrams", "", false,
		pcucontrol.Route{Transport: pcucontrol.Transport{Name: "udp", Port: 623}, Driver: driving{&asked}})})
	looks := 0
	target := pcucontrol.Target{Model: "Datagrams", Host: "127.0.0.1", User: "apc", Password: "s3cret",
		MayConnect: func(netip.Addr) error {
			if looks++; looks > 1 {
				return errors.New("it has moved")
			}
			return nil
		}}
	if _, err := catalog.Test(t.Context(), target); pcucontrol.KindOf(err) != pcucontrol.Refused ||
		!strings.Contains(err.Error(), "it has moved") || len(asked) > 0 {
		t.Errorf("asked %q, %v", asked, err)
	}
}
