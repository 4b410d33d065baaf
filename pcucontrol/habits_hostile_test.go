package pcucontrol_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	roles "github.com/planetlab/monitor/testbed/hostile"
)

// Whatever stands where a device should, its words come out clean and bounded, and the password goes nowhere else.
func TestWhatAHostileDeviceSaysComesOutClean(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s came, with %v", r.Method, r.Host, r.Header)
	}))
	t.Cleanup(thief.Close)
	habits := append(roles.Web(thief.URL), roles.Nodes()...)
	catalog := models.Builtin()
	t.Run("all", func(t *testing.T) {
		for i, h := range habits {
			t.Run(h.Name, func(t *testing.T) {
				t.Parallel()
				address := roles.Serve(t, fmt.Sprintf("127.9.13.%d:0", i+1), h).(*net.TCPAddr)
				for _, face := range [][2]string{{"Redfish", "http"}, {"ePowerSwitchNew", "http"}, {"Shelly", "http"}, {"APCControl12p3", "telnet"}, {"APCControl", "ssh"}, {"DRAC", "ssh"}, {"IntelAMT", "http"}, {"IPAL", "tcp"}} {
					ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
					r, err := catalog.Test(ctx, pcucontrol.Target{Model: face[0], Transport: face[1], Host: address.IP.String(), Port: address.Port, User: "root", Password: "s3cret-s3cret", Outlet: 1})
					cancel()
					if err == nil {
						t.Errorf("%s over %s believes it: %+v", face[0], face[1], r)
						continue
					}
					if text := err.Error(); !clean.Is(text, clean.MaxText) || strings.Contains(text, "s3cret-s3cret") {
						t.Errorf("%s over %s: %d bytes: %.300q", face[0], face[1], len(text), text)
					}
					if !clean.Is(r.Note, clean.MaxText) {
						t.Errorf("%s over %s notes %.300q", face[0], face[1], r.Note)
					}
				}
			})
		}
	})
}
