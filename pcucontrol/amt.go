package pcucontrol

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"
)

// amt drives Intel's Active Management Technology with Digest: by WS-Management (DSP0226), or, where the firmware is older than AMT 3,
// by its first SOAP interface.
type amt struct{}

// amtLag is how long a power cycle may take until it shows as off.
const amtLag = 10 * time.Second

// amtSession is one device; old is whether it knows only the first interface.
type amtSession struct {
	w   *web
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
func (s *amtSession) wsman(ctx context.Context, doing, resource, action, selector, body string) (map[string]string, error) {
	envelope := fmt.Sprintf(wsEnvelope, action, resource, newUUID(), selector, body)
	a, err := s.w.call(ctx, doing, "POST", "/wsman", "application/soap+xml;charset=UTF-8", envelope)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotImplemented {
		s.old = true
	}
	return s.fields(doing, a)
}

// fields are those of an answer, or the error that it is.
func (s *amtSession) fields(doing string, a reply) (map[string]string, error) {
	fields, notXML := xmlFields(a.body)
	why := mask(cmp.Or(fields["Text"], fields["faultstring"], fields["FaultString"]), s.w.t.Password)
	if err := s.w.judge(doing, a); err != nil {
		if why != "" && KindOf(err) != Auth {
			return nil, s.w.fail(Refused, doing, why)
		}
		return nil, err
	}
	if notXML != nil {
		return nil, s.w.fail(Unexpected, doing, mask(notXML.Error(), s.w.t.Password))
	}
	if why != "" {
		return nil, s.w.fail(Refused, doing, why)
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
var amtStates = map[string]State{"2": On, "6": Off, "7": Off, "8": Off, "12": Off, "13": Off}

// state enumerates the only instance, by way of which alone the power state can be had, and pulls it.
func (s *amtSession) state(ctx context.Context) (State, error) {
	const doing = "status"
	if s.old {
		return s.oldState(ctx)
	}
	fields, err := s.wsman(ctx, doing, cimPowerOf, wsEnumeration+"/Enumerate", "", `<n:Enumerate xmlns:n="`+wsEnumeration+`"/>`)
	if s.old {
		return s.oldState(ctx)
	}
	if err != nil {
		return Unknown, err
	}
	fields, err = s.wsman(ctx, doing, cimPowerOf, wsEnumeration+"/Pull", "", `<n:Pull xmlns:n="`+wsEnumeration+`"><n:EnumerationContext>`+
		xmlText(fields["EnumerationContext"])+`</n:EnumerationContext><n:MaxElements>1</n:MaxElements></n:Pull>`)
	if err != nil {
		return Unknown, err
	}
	value, ok := fields["PowerState"]
	if !ok {
		return Unknown, s.w.fail(Unexpected, doing, "no PowerState in the answer")
	}
	return cmp.Or(amtStates[value], Unknown), nil
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
func (s *amtSession) request(doing string, states ...amtPower) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		for _, p := range states {
			if s.old {
				err = s.oldCommand(ctx, doing, p.old)
			} else {
				err = s.command(ctx, doing, p.cim)
			}
			if KindOf(err) != Unsupported {
				break
			}
		}
		return unsure(s.w.t, doing, err)
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

func (s *amtSession) command(ctx context.Context, doing string, state int) error {
	fields, err := s.wsman(ctx, doing, cimPower, cimPower+"/RequestPowerStateChange", powerService, fmt.Sprintf(powerRequest, state))
	if err != nil {
		return err
	}
	value, ok := fields["ReturnValue"]
	switch {
	case !ok:
		return s.w.fail(Unexpected, doing, "no ReturnValue in the answer")
	case value == "0" || value == "4096": // done, or begun
		return nil
	case value == "1" || value == "5" || value == "4097": // not supported, invalid parameter, invalid transition
		return s.w.fail(Unsupported, doing, "ReturnValue "+mask(value, s.w.t.Password))
	case value == "6" || value == "4099": // in use, busy
		return s.w.fail(Busy, doing, "ReturnValue "+mask(value, s.w.t.Password))
	}
	return s.w.fail(Refused, doing, "ReturnValue "+mask(value, s.w.t.Password))
}

func openAMT(t Target) *amtSession { return &amtSession{w: newWeb(t, loginChallenge, true)} }

func (d amt) test(ctx context.Context, t Target) (Result, error) {
	r, err := d.status(ctx, t)
	r.Verified = err == nil
	return r, err
}

func (amt) status(ctx context.Context, t Target) (Result, error) {
	s := openAMT(t)
	defer s.w.close()
	state, err := s.state(ctx)
	return Result{Before: state, After: state, Verified: err == nil && state != Unknown}, err
}

func (amt) set(ctx context.Context, t Target, op operation) (Result, error) {
	s := openAMT(t)
	defer s.w.close()
	return switches{
		read: s.state, on: s.request("on", amtOn), off: s.request("off", amtOff), cycle: s.request("cycle", amtCycle, amtReset), reset: s.request("reset", amtReset), lag: amtLag,
	}.set(ctx, t, op)
}
