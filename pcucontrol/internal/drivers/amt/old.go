package amt

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
)

const remoteControl = "http://schemas.intel.com/platform/client/RemoteControl/2004/01"

// oldCall calls AMT's first SOAP interface and looks at the status in the answer.
func (s *session) oldCall(ctx context.Context, doing, method, body string) (map[string]string, error) {
	s.w.Header.Set("SOAPAction", `"`+remoteControl+"#"+method+`"`)
	envelope := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><%[1]s xmlns="%[2]s">%[3]s</%[1]s></s:Body></s:Envelope>`, method, remoteControl, body)
	a, err := s.w.Call(ctx, doing, "POST", "/RemoteControlService", "text/xml; charset=utf-8", envelope)
	if err != nil {
		return nil, err
	}
	fields, err := s.fields(doing, a)
	if err != nil {
		return nil, err
	}
	status, err := strconv.ParseUint(strings.TrimSpace(fields["Status"]), 0, 32)
	switch {
	case err != nil:
		return nil, s.w.Fail(pcucontrol.Unexpected, doing,
			fmt.Sprintf("status %q", secret.Mask(fields["Status"], s.w.Target.Password)))
	case status == 0:
		return fields, nil
	case status == 0x803 || status == 0x812: // invalid command, unsupported
		return nil, s.w.Fail(pcucontrol.Unsupported, doing, fmt.Sprintf("status %#x", status))
	}
	return nil, s.w.Fail(pcucontrol.Refused, doing, fmt.Sprintf("status %#x", status))
}

// oldState reads the ACPI state, which is the low half of the first byte.
func (s *session) oldState(ctx context.Context) (pcucontrol.State, error) {
	fields, err := s.oldCall(ctx, "status", "GetSystemPowerState", "")
	if err != nil {
		return pcucontrol.Unknown, err
	}
	value, err := strconv.ParseUint(fields["SystemPowerState"], 0, 32)
	if err != nil {
		return pcucontrol.Unknown, s.w.Fail(pcucontrol.Unexpected, "status",
			fmt.Sprintf("power state %q", secret.Mask(fields["SystemPowerState"], s.w.Target.Password)))
	}
	switch value & 0x0f {
	case 0:
		return pcucontrol.On, nil
	case 4, 5, 6, 7: // S4, S5, S4 or S5, off
		return pcucontrol.Off, nil
	}
	return pcucontrol.Unknown, nil
}

// oldCommand sends a command in the name of Intel, whose enterprise number it needs.
func (s *session) oldCommand(ctx context.Context, doing string, command int) error {
	_, err := s.oldCall(ctx, doing, "RemoteControl",
		fmt.Sprintf("<Command>%d</Command><IanaOemNumber>343</IanaOemNumber>", command))
	return err
}
