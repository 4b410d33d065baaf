package pcucontrol_test

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func TestDriversCopeWithTheHabitsOfDevices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, model, transport, habit string
		driver                        string // if not the device's own
	}{
		{"it talks a byte at a time on telnet", "APCControl12p3", "telnet", pcudev.Slow, ""},
		{"it talks a byte at a time on ssh", "BayTech", "ssh", pcudev.Slow, ""},
		{"it talks a byte at a time on tcp", "IPAL", "tcp", pcudev.Slow, ""},
		{"it drops the first connection on telnet", "BayTechRPC16", "telnet", pcudev.DropsFirst, "BayTechGeorgeTown"},
		{"it drops the first connection on ssh", "BayTechRPC16", "ssh", pcudev.DropsFirst, "BayTechGeorgeTown"},
		{"a BayTech acts without a question", "BayTechRPC3NC", "telnet", pcudev.NoQuestion, ""},
		{"a BayTech asks for a password only", "BayTechRPC3NC", "telnet", pcudev.AsksPassword, ""},
		{"a BayTech asks for nothing", "BayTechRPC3NC", "telnet", pcudev.AsksNothing, ""},
		{"a BayTech asks for nothing, and no question", "BayTechRPC16", "telnet",
			pcudev.AsksNothing + "," + pcudev.NoQuestion, ""},
		{"a BayTech is an old one, with a selection and columns", "BayTechRPC3NC", "telnet", pcudev.OldRPC, ""},
		{"a BayTech asks for the user name again", "BayTech", "ssh", pcudev.AsksAgain, ""},
		{"a BayTech asks for the user name again on telnet", "BayTech", "telnet", pcudev.AsksAgain, ""},
		{"a BayTech hangs until Ctrl-C", "BayTech", "ssh", pcudev.HangsCtrlC, "BayTechCtrlC"},
		{"a BayTech's prompts alternate", "BayTechRPC16", "telnet", pcudev.Alternates, ""},
		{"an APC's commands have no ol before them", "APCControl", "telnet", pcudev.OldCLI, ""},
		{"a WTI acts without a question", "WTIIPS4", "telnet", pcudev.NoQuestion, ""},
		{"a DRAC wants no racadm", "DRAC", "ssh", pcudev.NoRacadm, ""},
		{"a DRAC prompts like another", "DRAC", "ssh", pcudev.OtherPrompt, ""},
		{"a DRAC says Powering OFF for a while", "DRAC", "ssh", pcudev.Lags, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, r, target := raise(t, c.model, c.transport)
			for _, habit := range strings.Split(c.habit, ",") {
				if !slices.ContainsFunc(d.Faults(), func(f pcudev.Fault) bool { return f.Name == habit }) {
					t.Fatalf("the device has no habit %q; it has %v", habit, d.Faults())
				}
			}
			d.Break(c.habit)
			if c.driver != "" {
				target.Model = c.driver
			}
			if res, err := models.Builtin().Cycle(enough(t), target); err != nil || res.After != pcucontrol.On {
				t.Fatalf("a cycle gives %+v, %v and switched %q", res, err, r.events())
			}
			await(t, "a cycle", r, "off on")
			if res, err := models.Builtin().TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off ||
				r.events() != "off on off" {
				t.Fatalf("off gives %+v, %v and switched %q", res, err, r.events())
			}
		})
	}
}

func TestACableErrorIsNoState(t *testing.T) {
	d, r, target := raise(t, "IPAL", "tcp")
	d.Break(pcudev.CableError)
	if res, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Refused ||
		!strings.Contains(err.Error(), "cable error") ||
		r.events() != "" {
		t.Errorf("a cycle gives %+v, %v and switched %q", res, err, r.events())
	}
}

func TestLongListsOfAPCsComeInPages(t *testing.T) {
	t.Parallel()
	for _, model := range []string{"APCControl12p3", "APCControl1p4", "APCControl121p3", "APCControl121p1",
		"APCControl13p13"} {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			target, rack := tall(t, model, 40)
			for _, n := range []int{3, 40} {
				target.Outlet = n
				if res, err := models.Builtin().TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off {
					t.Fatalf("off of outlet %d gives %+v, %v", n, res, err)
				}
			}
			// The choice behind the last outlet would switch them all.
			target.Outlet = 41
			if _, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.NoOutlet {
				t.Errorf("a cycle of outlet 41 of 40 gives %v", err)
			}
			if e := rack.Events(); len(e) != 2 || e[0].Outlet != 3 || e[1].Outlet != 40 {
				t.Errorf("it switched %v", e)
			}
		})
	}
}

// tall is a rack of many outlets.
func tall(t *testing.T, model string, outlets int) (pcucontrol.Target, *pcudev.Rack) {
	t.Helper()
	rack, err := pcudev.NewRack(outlets)
	if err != nil {
		t.Fatal(err)
	}
	d, err := pcudev.New(
		pcudev.Options{
			Model:     model,
			Transport: "telnet",
			User:      "admin",
			Password:  password,
			Outlets:   rack,
			OffTime:   50 * time.Millisecond,
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { _ = d.Serve(l) }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	target := pcucontrol.Target{Model: model, Transport: "telnet", Host: "127.0.0.1", User: "admin", Password: password}
	target.Port, _ = strconv.Atoi(port)
	return target, rack
}
