package amt

import (
	"net/http"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wiretest"
)

func FuzzAMT(f *testing.F) {
	const envelope = `<?xml version="1.0" encoding="UTF-8"?><a:Envelope xmlns:a="http://www.w3.org/2003/05/soap-envelope"><a:Body>`
	const end = `</a:Body></a:Envelope>`
	for _, body := range []string{
		envelope + `<g:EnumerateResponse xmlns:g="http://schemas.xmlsoap.org/ws/2004/09/enumeration">
			<g:EnumerationContext>A4070000-0000-0000-0000-000000000000</g:EnumerationContext></g:EnumerateResponse>` + end,
		envelope + `<g:PullResponse xmlns:g="http://schemas.xmlsoap.org/ws/2004/09/enumeration"><g:Items>
			<h:CIM_AssociatedPowerManagementService xmlns:h="h"><h:PowerState>2</h:PowerState></h:CIM_AssociatedPowerManagementService>
			</g:Items><g:EndOfSequence/></g:PullResponse>` + end,
		envelope + `<g:RequestPowerStateChange_OUTPUT xmlns:g="g"><g:ReturnValue>4097</g:ReturnValue></g:RequestPowerStateChange_OUTPUT>` + end,
		envelope + `<a:Fault><a:Code><a:Value>a:Receiver</a:Value></a:Code><a:Reason>
			<a:Text xml:lang="en-US">The action is not supported by the service.</a:Text></a:Reason></a:Fault>` + end,
		envelope + `<GetSystemPowerStateResponse xmlns="r"><Status>0</Status><SystemPowerState>5</SystemPowerState></GetSystemPowerStateResponse>` + end,
		`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, `<a><b>`, `<a></b>`, "",
	} {
		f.Add(200, body)
		f.Add(404, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		s := open(pcucontrol.Target{Host: "h", Port: 1, Transport: "http", User: "u", Password: "s3cret"})
		header := http.Header{"Www-Authenticate": {`Digest realm="a", nonce="b", qop="auth"`}}
		s.w.HTTP.Transport = wiretest.Canned{Status: 100 + min(max(status, 0), 899), Header: header, Body: body}
		_, err := s.state(t.Context())
		wiretest.WantTyped(t, err)
		wiretest.WantTyped(t, s.request("cycle", amtCycle, amtReset)(t.Context()))
	})
}

func TestWhatAMTAnswersIsUnderstood(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
		kind       pcucontrol.Kind
	}{
		{"done", `<a><ReturnValue>0</ReturnValue></a>`, 200, ""},
		{"in use", `<a><ReturnValue>6</ReturnValue></a>`, 200, pcucontrol.Busy},
		{"cannot", `<a><ReturnValue>1</ReturnValue></a>`, 200, pcucontrol.Unsupported},
		{"will not", `<a><ReturnValue>2</ReturnValue></a>`, 200, pcucontrol.Refused},
		{"no value", `<a><Other>0</Other></a>`, 200, pcucontrol.Ambiguous},
		{"a fault", `<a><Fault><Reason><Text>Access denied.</Text></Reason></Fault></a>`, 400, pcucontrol.Refused},
		{"no XML", `lorem`, 200, pcucontrol.Ambiguous},
	} {
		s := open(pcucontrol.Target{Host: "h", Port: 1, Transport: "http"})
		s.w.HTTP.Transport = wiretest.Canned{Status: c.status, Body: c.body}
		if err := s.request("cycle", amtCycle, amtReset)(t.Context()); pcucontrol.KindOf(err) != c.kind {
			t.Errorf("%s gives %v", c.name, err)
		}
	}
}
