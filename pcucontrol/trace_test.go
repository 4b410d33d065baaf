package pcucontrol_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol/models"
)

func TestATraceShowsTheStepsOfEveryProtocol(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		model, transport string
		steps            []string // patterns, in their order
	}{
		{"OpenIPMI", "udp", []string{`= cipher suite 17, privilege 3`, `> open session`, `< status 0x00`, `RAKP 1`,
			`RAKP 3`,
			`> set session privilege`, `> chassis status`, `< completion code 0x00, data 01`, `> power off`,
			`< completion code 0x00`, `> chassis status`, `< completion code 0x00, data 00`}},
		{"APCSNMP", "udp", []string{`> get \.1\.3\.6\.1\.4\.1\.318\.[.\d]+`, `< Integer 1`, `> set [.\d]+ = 2`, `< Integer`,
			`> get`, `< Integer 2`}},
		{"Redfish", "https", []string{`> "GET /redfish/v1/`, `< "200 OK`,
			`> "POST [^ ]+/Sessions {\\"Password\\":\\"\*{8}`,
			`< "201 Created`, `> "POST [^ ]+ComputerSystem\.Reset [^ ]+ForceOff`, `< "204 No Content`, `> "DELETE`}},
		{"HPiLO", "https", []string{`> "POST /ribcl .*PASSWORD=\\"\*{8}`, `< "200 OK`, `SET_HOST_POWER`, `< "200 OK`}},
		{"IntelAMT", "http", []string{`> "POST /wsman`, `< "401 `, `> "POST /wsman`, `< "200 OK`,
			`RequestPowerStateChange`}},
		{"ePowerSwitchNew", "http", []string{`> "GET /cmd.html`, `< "401 `, `< "200 OK`, `> "POST /cmd.html P3=0`,
			`< "200 OK`}},
		{"Tasmota", "http", []string{`> "GET /cm\?cmnd=Status `, `< "401 `, `Power3%20OFF&user=admin&password=\*{8}`,
			`< "200 OK`}},
		{"WTIIPS4", "telnet", []string{`< .*Enter Password: `, `> "\*{8}`, `IPS> `, `> "/Off 3`, `Sure\?`, `> "Y`,
			`> "/S`}},
		{"DRAC", "ssh", []string{`\$`, `> "racadm serveraction powerdown`, `> "racadm serveraction powerstatus`}},
		{"IPAL", "tcp", []string{`> "O"`, `< "1{8}"`, `> "3D"`, `< "1101`}},
		{"NUT", "tcp", []string{`> .*USERNAME`, `> .*PASSWORD .*\*{8}`, `< "OK`, `> "LIST VAR`,
			`> "INSTCMD .*outlet\.3\.load\.off`,
			`< "OK`, `> "GET VAR`, `< "VAR .*off`}},
	} {
		t.Run(c.model+" by "+c.transport, func(t *testing.T) {
			t.Parallel()
			_, _, target := raise(t, c.model, c.transport)
			var trace strings.Builder
			target.Trace = func(line string) { trace.WriteString(line + "\n") }
			if _, err := models.Builtin().TurnOff(enough(t), target); err != nil {
				t.Fatal(err)
			}
			rest := trace.String()
			for _, step := range c.steps {
				at := regexp.MustCompile(step).FindStringIndex(rest)
				if at == nil {
					t.Fatalf("no %q, or not in its place, in\n%s", step, trace.String())
				}
				rest = rest[at[1]:]
			}
			if strings.Contains(trace.String(), password) {
				t.Errorf("it tells the password:\n%s", trace.String())
			}
		})
	}
}
