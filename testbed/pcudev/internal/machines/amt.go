package machines

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
	"github.com/planetlab/monitor/testbed/pcudev/internal/site"
)

// amt is Intel's Active Management Technology, by WS-Management and by the SOAP of its first versions. It switches the
// first outlet.
type amt struct{ s *site.Site }

// NewAMT is Intel AMT by WS-Management, and by SOAP.
func NewAMT(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		s.Own = device.TwoTonguesFaults()
		d := amt{s}
		m := http.NewServeMux()
		m.HandleFunc("POST /wsman", func(w http.ResponseWriter, r *http.Request) {
			if s.Has(device.OldFirmware) {
				http.NotFound(w, r)
				return
			}
			d.wsman(w, r)
		})
		for _, service := range []string{"RemoteControl", "SecurityAdministration", "NetworkAdministration"} {
			m.HandleFunc("POST /"+service+"Service",
				func(w http.ResponseWriter, r *http.Request) { d.soap(w, r, service) })
		}
		lock := &site.DigestLock{S: s, Realm: "Digest:" + strings.ToUpper(site.RandomHex(16))}
		s.Pages = lock.Guard(m)
	})
}

const enumeration = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"

// The answers of WS-Management.
const (
	wsmanEnvelope = `<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing">
<s:Header><a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To><a:RelatesTo>%s</a:RelatesTo><a:Action>%s</a:Action></s:Header>
<s:Body>%s</s:Body></s:Envelope>`
	wsmanFault     = `<s:Fault><s:Code><s:Value>%s</s:Value></s:Code><s:Reason><s:Text xml:lang="en-US">%s</s:Text></s:Reason></s:Fault>`
	wsmanEnumerate = `<n:EnumerateResponse xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration">
<n:EnumerationContext>7C000000-0000-0000-0000-000000000000</n:EnumerationContext></n:EnumerateResponse>`
	wsmanPull = `<n:PullResponse xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration"><n:Items>
<h:CIM_AssociatedPowerManagementService xmlns:h="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_AssociatedPowerManagementService">
<h:AvailableRequestedPowerStates>8</h:AvailableRequestedPowerStates><h:AvailableRequestedPowerStates>5</h:AvailableRequestedPowerStates>
<h:PowerState>%d</h:PowerState>
</h:CIM_AssociatedPowerManagementService></n:Items><n:EndOfSequence/></n:PullResponse>`
	wsmanRequested = `<h:RequestPowerStateChange_OUTPUT xmlns:h="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_PowerManagementService">
<h:ReturnValue>%d</h:ReturnValue></h:RequestPowerStateChange_OUTPUT>`
)

// wsman answers the three requests that power needs.
func (d amt) wsman(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Action   string `xml:"Header>Action"`
		Resource string `xml:"Header>ResourceURI"`
		ID       string `xml:"Header>MessageID"`
		Context  string `xml:"Body>Pull>EnumerationContext"`
		Power    string `xml:"Body>RequestPowerStateChange_INPUT>PowerState"`
		Element  string `xml:"Body>RequestPowerStateChange_INPUT>ManagedElement>ReferenceParameters>ResourceURI"`
	}
	if xml.NewDecoder(r.Body).Decode(&q) != nil {
		d.fault(w, q.ID, "s:Sender", "The request is no XML.")
		return
	}
	resource := q.Resource[strings.LastIndex(q.Resource, "/")+1:]
	// its base class
	holds := resource == "CIM_AssociatedPowerManagementService" || resource == "CIM_ServiceAvailableToElement"
	asks := resource == "CIM_PowerManagementService" && strings.HasSuffix(q.Action, "/RequestPowerStateChange")
	switch {
	case holds && q.Action == enumeration+"/Enumerate":
		d.answer(w, 200, q.ID, q.Action+"Response", wsmanEnumerate)
	case holds && q.Action == enumeration+"/Pull" && q.Context != "":
		d.answer(w, 200, q.ID, q.Action+"Response",
			fmt.Sprintf(wsmanPull, map[string]int{"On": 2, "Off": 8}[console.OnOff(d.s.Outlets, 1)]))
	case asks && strings.HasSuffix(q.Element, "/CIM_ComputerSystem"):
		d.answer(w, 200, q.ID, q.Action+"Response", fmt.Sprintf(wsmanRequested, d.request(q.Power)))
	default:
		d.fault(w, q.ID, "s:Receiver", "The action is not supported by the service.")
	}
}

func (d amt) answer(w http.ResponseWriter, status int, id, action, body string) {
	w.Header().Set("Content-Type", "application/soap+xml; charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, wsmanEnvelope, xmlEscape(id), xmlEscape(action), body)
}

func (d amt) fault(w http.ResponseWriter, id, code, text string) {
	d.answer(w, 400, id, "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault", fmt.Sprintf(wsmanFault, code, text))
}

func xmlEscape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder has no error
	return b.String()
}

// request does what a CIM power state asks for and gives the ReturnValue.
func (d amt) request(state string) int {
	on := console.OnOff(d.s.Outlets, 1) == "On"
	switch {
	case state == "2":
		if !d.s.Has(device.StaysOff) {
			_ = d.s.Set(d.s.Outlets, 1, true)
		}
	case state == "8":
		_ = d.s.Set(d.s.Outlets, 1, false)
	case (state == "5" || state == "10") && on:
		_ = d.s.Cycle(d.s.Outlets, 1, d.s.OffTime)
	case state == "5" || state == "10":
		return 4097 // invalid state transition
	default:
		return 5 // invalid parameter
	}
	return 0
}

// soap answers the first interface, as much of it as clients of that time ask for.
func (d amt) soap(w http.ResponseWriter, r *http.Request, service string) {
	var q struct {
		Body struct {
			Method struct {
				XMLName xml.Name
				Command string
			} `xml:",any"`
		}
	}
	if err := xml.NewDecoder(r.Body).Decode(&q); err != nil {
		w.WriteHeader(500)
		fmt.Fprintf(w, soapEnvelope,
			`<s:Fault><faultcode>s:Client</faultcode><faultstring>The request is no XML.</faultstring></s:Fault>`)
		return
	}
	method := q.Body.Method.XMLName.Local
	status, fields := 0, ""
	switch method {
	case "GetCoreVersion":
		fields = "<Version>2.2.20</Version>"
	case "GetHostName":
		fields = "<Host>testbed</Host>"
	case "GetDomainName":
		fields = "<Domain>example.net</Domain>"
	case "GetSystemPowerState":
		fields = fmt.Sprintf("<SystemPowerState>%d</SystemPowerState>",
			map[string]int{"On": 0, "Off": 5}[console.OnOff(d.s.Outlets, 1)])
	case "GetRemoteControlCapabilities":
		fields = "<IanaOemNumber>343</IanaOemNumber><OemDefinedCapabilities>3</OemDefinedCapabilities>" +
			"<SpecialCommandsSupported>0</SpecialCommandsSupported>" +
			"<SystemCapabilitiesSupported>7</SystemCapabilitiesSupported><SystemFirmwareCapabilities>0</SystemFirmwareCapabilities>"
	case "RemoteControl":
		if state := map[string]string{"16": "10", "17": "2", "18": "8", "19": "5"}[q.Body.Method.Command]; d.request(
			state,
		) != 0 {
			status = 0x803
		}
	default:
		status = 0x812
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	fmt.Fprintf(w, soapEnvelope, fmt.Sprintf(soapResponse, method, service, status, fields))
}

// The answers of the first interface.
const (
	soapEnvelope = `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>%s</s:Body></s:Envelope>`
	soapResponse = `<g:%[1]sResponse xmlns:g="http://schemas.intel.com/platform/client/%[2]s/2004/01"><Status>%[3]d</Status>%[4]s</g:%[1]sResponse>`
)
