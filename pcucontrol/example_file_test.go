package pcucontrol_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func TestTheModelFileOfThePageDrivesADevice(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/pcu.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- example")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no example")
	}
	d, r, target := raise(t, "BayTechRPC3NC", "telnet")
	dir := t.TempDir()
	example = strings.Replace(example, "telnet 23", fmt.Sprintf("telnet %d", target.Port), 1)
	if err := os.WriteFile(filepath.Join(dir, "cellar.yaml"), []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	target.Model, target.Port, target.Transport = "CellarRPC", 0, ""
	if res, err := c.Test(enough(t), target); err != nil || r.events() != "" {
		t.Fatalf("a dry run gives %+v, %v and switched %q", res, err, r.events())
	}
	if res, err := c.Cycle(enough(t), target); err != nil || !res.Verified || res.After != pcucontrol.On ||
		r.events() != "off on" {
		t.Fatalf("a cycle gives %+v, %v and switched %q", res, err, r.events())
	}
	if res, err := c.TurnOff(enough(t), target); err != nil || !res.Verified || r.events() != "off on off" {
		t.Fatalf("off gives %+v, %v and switched %q", res, err, r.events())
	}
	target.Outlet = 9
	if _, err := c.TurnOn(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.NoOutlet {
		t.Errorf("outlet nine gives %v", err)
	}
	target.Outlet, target.Password = 3, "guess-me"
	if _, err := c.Status(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Auth {
		t.Errorf("a wrong password gives %v", err)
	}
	d.Break(pcudev.Busy)
	if _, err := c.Status(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Busy {
		t.Errorf("another session gives %v", err)
	}
}
