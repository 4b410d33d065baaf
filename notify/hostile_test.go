package notify

import (
	"bytes"
	"fmt"
	"net/mail"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/testbed/mailbox"
)

func TestAnOddAddressCostsThatRecipientAlone(t *testing.T) {
	for _, odd := range []string{
		`"a,b"@x.test`, `"a b"@x.test`, `"<root>"@x.test`, `a@[127.0.0.1]`, `"a\"b"@x.test`, strings.Repeat("a", 300) + "@x.test", "a\x00@x.test", "a\u202eb@x.test",
		"\"x\r\nBcc: evil@x.test\" <a@x.test\r\n>", `"a:b;"@x.test`, "@x.test", "a@x.test, b@x.test",
	} {
		box := server(t, mailbox.Options{})
		r, err := sender(t, box, nil).Send(t.Context(), message("good@x.test", odd, "other@x.test"))
		if err != nil || !slices.Equal(r.Accepted, []string{"good@x.test", "other@x.test"}) || len(r.Rejected) != 1 {
			t.Errorf("%.60q: %+v, %v", odd, r, err)
		}
		if list := box.Messages(); len(list) != 1 || list[0].Header["To"][0] != "<good@x.test>, <other@x.test>" ||
			list[0].Header["Bcc"] != nil {
			t.Errorf("%.60q: %+v", odd, list)
		}
	}
}

func TestWhatIsPastedIsOneWord(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	for _, name := range []string{
		"nodedown/planetlab1.princeton.edu", "nodedown/$(touch x)", "a'b", "`id`", "a; rm -rf ~", "a\nb", "-rf", "--help", "", "a&&b", "~root", "*", "a\\", "#a", "!x",
	} {
		out, err := exec.Command(shell, "-c", `for w in `+paste(name)+`; do printf '%s\n' "$w"; done`).Output()
		if err != nil || string(out) != line(name)+"\n" {
			t.Errorf("%q is pasted as %s, which is %q, %v", name, paste(name), out, err)
		}
	}
	m, err := Render(
		notice(Flagged, Item{Issue: "nodedown/$(reboot)", Type: "nodedown", Target: "$(reboot)", Since: days(-4)}),
	)
	if err != nil || !strings.Contains(m.Text, "monitor issue close 'nodedown/$(reboot)' --reason") {
		t.Errorf("%v\n%s", err, m.Text)
	}
}

// FuzzMail: whatever PLC, a node or an operator says, a mail has our headers and no others, and its text is clean.
func FuzzMail(f *testing.F) {
	f.Add("princeton", "planetlab1.princeton.edu", "no ssh: timeout", "tech@princeton.edu")
	f.Add("x\r\nBcc: a@b", "\x00\x1b[2J", "\u009b31m\u202e", "\"a,b\"@x")
	f.Add("{{.Site}}", "$(reboot)", strings.Repeat("x", 5000), "a@b\r\nTo: c@d")
	sender, err := NewSender(Options{Addr: "127.0.0.1:25", From: "monitor@monitor.test", TLS: TLSNone, Mode: ModeLive})
	if err != nil {
		f.Fatal(err)
	}
	ours := []string{
		"From",
		"To",
		"Date",
		"Message-Id",
		"Subject",
		"Auto-Submitted",
		"X-Auto-Response-Suppress",
		"User-Agent",
		"X-Mailer",
		"X-Monitor-Kind",
		"List-Id",
		"Mime-Version",
		"Content-Type",
		"Content-Transfer-Encoding",
	}
	f.Fuzz(func(t *testing.T, site, target, evidence, address string) {
		for _, kind := range []Kind{Down, Flagged, Penalty, Repaired} {
			n := notice(
				kind,
				Item{
					Issue:    "nodedown/" + target,
					Type:     "nodedown",
					Target:   target,
					Since:    days(-4),
					Evidence: []string{evidence},
					Deeds:    []issue.Deed{{At: days(-1), What: issue.DeedUnreachable, How: evidence}},
				},
			)
			n.Site, n.SiteName, n.To, n.Level = site, evidence, []string{address, "admin@monitor.test"}, 1
			m, err := Render(n)
			if err != nil {
				continue // as a site without a name
			}
			if !clean.Is(m.Text, len(m.Text)) || len(m.Text) > 64<<10 {
				t.Fatalf("%s: %d bytes of text: %q", kind, len(m.Text), m.Text)
			}
			var r Receipt
			r.Rejected = map[string]string{}
			to, header := recipients(m, &r)
			if !slices.Contains(to, "admin@monitor.test") {
				t.Fatalf("%s: %q costs the admin his mail", kind, address)
			}
			msg, err := sender.compose(m, header)
			if err != nil {
				t.Fatalf("%s: %q: %v", kind, address, err)
			}
			var raw bytes.Buffer
			if _, err := msg.WriteTo(&raw); err != nil {
				t.Fatal(err)
			}
			read, err := mail.ReadMessage(&raw)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			for name, values := range read.Header {
				if !slices.Contains(ours, name) || len(values) != 1 {
					t.Errorf("%s: a header %s: %q", kind, name, values)
				}
			}
		}
	})
}

func TestAnErrorOfAMailServerIsOneCleanLine(t *testing.T) {
	e := &Error{Server: "mx:25", Step: "rcpt", cause: fmt.Errorf("550 \x1b[2J\x00%s", strings.Repeat("no ", 5000))}
	if !clean.Is(e.Error(), clean.MaxLine) {
		t.Errorf("%d bytes", len(e.Error()))
	}
}
