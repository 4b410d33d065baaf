package proof

import (
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/site"
)

func TestCheck_TwoFactsInOneSecondAreToldApart(t *testing.T) {
	at := time.Date(2026, 11, 26, 18, 52, 51, 50e6, time.UTC)
	n := notify.Notice{Kind: notify.Warn, Site: "tokyo", SiteName: "University of tokyo", At: at, To: []string{"tech@tokyo.example"},
		MessageID: "<1@plc.example>", Coming: []site.Coming{{At: at.Add(900 * time.Millisecond), What: site.ComesStep, Level: 1}},
		Items: []notify.Item{{Kind: notify.Warn, Target: "tokyo", Type: "site", Since: at}}}
	m, err := notify.Render(n)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(m.Text), " "), "18:52:51 UTC (in 1 second)") {
		t.Fatalf("it says:\n%s", m.Text)
	}
	for _, claim := range Check(n, m) {
		if strings.Contains(claim, "in 1 second") {
			t.Error(claim)
		}
	}
}
