// Package amt drives Intel AMT by WS-Management and, where that is not known, by the SOAP service before it.
package amt

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/web"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
	"github.com/planetlab/monitor/pcucontrol/internal/xmltext"
)

// Driver drives Intel's Active Management Technology with Digest: by WS-Management (DSP0226), or, where the firmware is
// older than AMT 3, by its first SOAP interface.
type Driver struct{}

// lag is how long a power cycle may take until it shows as off.
const lag = 10 * time.Second

// session is one device; old is whether it knows only the first interface.
type session struct {
	w   *web.Client
	old bool
}

// Names of WS-Management and CIM.
const (
	wsEnumeration = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
	wsAnonymous   = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
	cimSchema     = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
	cimPower      = cimSchema + "CIM_PowerManagementService"
	cimPowerOf    = cimSchema + "CIM_AssociatedPowerManagementService"
)

// wsEnvelope is a request: the action, the resource, a message id, selectors and the body.
const wsEnvelope = `<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Header>
<a:Action s:mustUnderstand="true">%s</a:Action><a:To s:mustUnderstand="true">` + wsAnonymous + `</a:To>
<w:ResourceURI s:mustUnderstand="true">%s</w:ResourceURI><a:MessageID s:mustUnderstand="true">uuid:%s</a:MessageID>
<a:ReplyTo><a:Address>` + wsAnonymous + `</a:Address></a:ReplyTo>%s</s:Header><s:Body>%s</s:Body></s:Envelope>`

// wsman does one action and returns the fields of the answer.
func (s *session) wsman(ctx context.Context,
	doing, resource, action, selector, body string,
) (map[string]string, error) {
	envelope := fmt.Sprintf(wsEnvelope, action, resource, newUUID(), selector, body)
	a, err := s.w.Call(ctx, doing, "POST", "/wsman", "application/soap+xml;charset=UTF-8", envelope)
	if err != nil {
		return nil, err
	}
	if a.Status == http.StatusNotFound || a.Status == http.StatusMethodNotAllowed ||
		a.Status == http.StatusNotImplemented {
		s.old = true
	}
	return s.fields(doing, a)
}

// fields are those of an answer, or the error that it is.
func (s *session) fields(doing string, a web.Reply) (map[string]string, error) {
	fields, notXML := xmltext.Fields(a.Body)
	why := secret.Mask(cmp.Or(fields["Text"], fields["faultstring"], fields["FaultString"]), s.w.Target.Password)
	if err := s.w.Judge(doing, a); err != nil {
		if why != "" && pcucontrol.KindOf(err) != pcucontrol.Auth {
			return nil, s.w.Fail(pcucontrol.Refused, doing, why)
		}
		return nil, err
	}
	if notXML != nil {
		return nil, s.w.Fail(pcucontrol.Unexpected, doing, secret.Mask(notXML.Error(), s.w.Target.Password))
	}
	if why != "" {
		return nil, s.w.Fail(pcucontrol.Refused, doing, why)
	}
	return fields, nil
}

func newUUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// amtStates are the values of CIM's PowerState that are on or off; the others are sleep, or on the way.
var amtStates = map[string]pcucontrol.State{
	"2":  pcucontrol.On,
	"6":  pcucontrol.Off,
	"7":  pcucontrol.Off,
	"8":  pcucontrol.Off,
	"12": pcucontrol.Off,
	"13": pcucontrol.Off,
}

// state enumerates the only instance, by way of which alone the power state can be had, and pulls it.
func (s *session) state(ctx context.Context) (pcucontrol.State, error) {
	const doing = "status"
	if s.old {
		return s.oldState(ctx)
	}
	fields, err := s.wsman(ctx, doing, cimPowerOf, wsEnumeration+"/Enumerate", "",
		`<n:Enumerate xmlns:n="`+wsEnumeration+`"/>`)
	if s.old {
		return s.oldState(ctx)
	}
	if err != nil {
		return pcucontrol.Unknown, err
	}
	fields, err = s.wsman(
		ctx,
		doing,
		cimPowerOf,
		wsEnumeration+"/Pull",
		"",
		`<n:Pull xmlns:n="`+wsEnumeration+`"><n:EnumerationContext>`+
			xmltext.Escape(
				fields["EnumerationContext"])+`</n:EnumerationContext><n:MaxElements>1</n:MaxElements></n:Pull>`,
	)
	if err != nil {
		return pcucontrol.Unknown, err
	}
	value, ok := fields["PowerState"]
	if !ok {
		return pcucontrol.Unknown, s.w.Fail(pcucontrol.Unexpected, doing, "no PowerState in the answer")
	}
	return cmp.Or(amtStates[value], pcucontrol.Unknown), nil
}

// amtPower are the states to request: CIM's, and the commands of the first interface.
type amtPower struct{ cim, old int }

var (
	amtOn    = amtPower{2, 17}
	amtCycle = amtPower{5, 19}
	amtOff   = amtPower{8, 18}
	amtReset = amtPower{10, 16}
)

// request asks for the first of some power states that the device can do.
func (s *session) request(doing string, states ...amtPower) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		for _, p := range states {
			if s.old {
				err = s.oldCommand(ctx, doing, p.old)
			} else {
				err = s.command(ctx, doing, p.cim)
			}
			if pcucontrol.KindOf(err) != pcucontrol.Unsupported {
				break
			}
		}
		return wire.Unsure(s.w.Target, doing, err)
	}
}

const (
	powerService = `<w:SelectorSet><w:Selector Name="Name">Intel(r) AMT Power Management Service</w:Selector></w:SelectorSet>`
	powerRequest = `<p:RequestPowerStateChange_INPUT xmlns:p="` + cimPower + `"><p:PowerState>%d</p:PowerState>
<p:ManagedElement><a:Address>` + wsAnonymous + `</a:Address><a:ReferenceParameters>
<w:ResourceURI>` + cimSchema + `CIM_ComputerSystem</w:ResourceURI><w:SelectorSet>
<w:Selector Name="CreationClassName">CIM_ComputerSystem</w:Selector><w:Selector Name="Name">ManagedSystem</w:Selector>
</w:SelectorSet></a:ReferenceParameters></p:ManagedElement></p:RequestPowerStateChange_INPUT>`
)

func (s *session) command(ctx context.Context, doing string, state int) error {
	fields, err := s.wsman(ctx, doing, cimPower, cimPower+"/RequestPowerStateChange", powerService,
		fmt.Sprintf(powerRequest, state))
	if err != nil {
		return err
	}
	value, ok := fields["ReturnValue"]
	switch {
	case !ok:
		return s.w.Fail(pcucontrol.Unexpected, doing, "no ReturnValue in the answer")
	case value == "0" || value == "4096": // done, or begun
		return nil
	case value == "1" || value == "5" || value == "4097": // not supported, invalid parameter, invalid transition
		return s.w.Fail(pcucontrol.Unsupported, doing, "ReturnValue "+secret.Mask(value, s.w.Target.Password))
	case value == "6" || value == "4099": // in use, busy
		return s.w.Fail(pcucontrol.Busy, doing, "ReturnValue "+secret.Mask(value, s.w.Target.Password))
	}
	return s.w.Fail(pcucontrol.Refused, doing, "ReturnValue "+secret.Mask(value, s.w.Target.Password))
}

func open(t pcucontrol.Target) *session { return &session{w: web.New(t, web.LoginChallenge, true)} }

// Test logs in and switches nothing.
func (d Driver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	r, err := d.Status(ctx, t)
	r.Verified = err == nil
	return r, err
}

// Status reads the state.
func (Driver) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	s := open(t)
	defer s.w.Close()
	state, err := s.state(ctx)
	return pcucontrol.Result{Before: state, After: state, Verified: err == nil && state != pcucontrol.Unknown}, err
}

// Switch switches, and reads back.
func (Driver) Switch(ctx context.Context, t pcucontrol.Target, op pcucontrol.Operation) (pcucontrol.Result, error) {
	s := open(t)
	defer s.w.Close()
	return power.Operations{
		Read: s.state, On: s.request("on", amtOn), Off: s.request("off", amtOff), Cycle: s.request("cycle", amtCycle,
			amtReset), Reset: s.request("reset", amtReset), Lag: lag,
	}.Perform(ctx, t, op)
}
