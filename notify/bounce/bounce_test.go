package bounce

import (
	"reflect"
	"strings"
	"testing"

	"github.com/planetlab/monitor/clean"
)

// postfix is what Postfix sends (RFC 3464); names and numbers are ours.
const postfix = `Return-Path: <>
From: MAILER-DAEMON@mx.example (Mail Delivery System)
To: monitor@plc.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="one/mx.example"

--one/mx.example
Content-Type: text/plain; charset=us-ascii

I'm sorry.

--one/mx.example
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; pi@huji.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <pi@huji.example>: no such
 user

Final-Recipient: rfc822; late@huji.example
Action: delayed
Status: 4.0.0

--one/mx.example
Content-Type: text/rfc822-headers

Message-ID: <abc@monitor.example>
To: pi@huji.example

--one/mx.example--
`

func TestALetterSaysWhomItCouldNotReachAndWhatCameBack(t *testing.T) {
	for name, text := range map[string]string{"as it is": postfix,
		"with the network's line ends": strings.ReplaceAll(postfix, "\n", "\r\n")} {
		got, err := Read(strings.NewReader(text))
		want := Letter{Returned: "<abc@monitor.example>", Failures: []Failure{{To: "pi@huji.example",
			Why: "550 5.1.1 <pi@huji.example>: no such user"}}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	exim := "X-Failed-Recipients: a@p.example,\n b@p.example\nAuto-Submitted: auto-replied\n\nThis message was created.\n"
	if got, err := Read(strings.NewReader(exim)); err != nil || len(got.Failures) != 2 {
		t.Errorf("Exim's: %+v, %v", got, err)
	}
	for _, text := range []string{"Subject: hello\n\nWe have ordered a disk.\n", "To: x\nContent-Type: multipart/mixed\n\nno boundary"} {
		if got, err := Read(strings.NewReader(text)); err == nil && (len(got.Failures) > 0 || got.Returned != "") {
			t.Errorf("%q is no such letter: %+v", text, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(postfix)
	f.Add("X-Failed-Recipients: a@p.example\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, _ := Read(strings.NewReader(text))
		if len(got.Failures) > most {
			t.Errorf("%d failures", len(got.Failures))
		}
		for _, x := range got.Failures {
			if !clean.Is(x.To+x.Why, 2*clean.MaxLine) {
				t.Errorf("%+v", x)
			}
		}
	})
}
