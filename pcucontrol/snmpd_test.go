package pcucontrol_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
)

// outletScript is eight outlets behind Debian's agent, by its pass_persist: PowerNet-MIB's sPDUOutletCtl.
const outletScript = `#!/bin/sh
cd "$(dirname "$0")"
base=.1.3.6.1.4.1.318.1.1.4.4.2.1.3
state() { cat "outlet$1" 2>/dev/null || echo 1; }
while read -r order; do
	case $order in
	PING) echo PONG ;;
	get|getnext)
		read -r oid; n=${oid##*.}
		[ "$order" = getnext ] && case $oid in $base) n=1 ;; $base.*) n=$((n + 1)) ;; *) n=9 ;; esac
		case $n in [1-8]) printf '%s.%s\ninteger\n%s\n' $base "$n" "$(state "$n")" ;; *) echo NONE ;; esac ;;
	set)
		read -r oid; read -r type value; n=${oid##*.}
		case $value in
		1|2) echo "$value" >"outlet$n"; echo "$n=$value" >>log ;;
		3) echo 2 >"outlet$n"; echo "$n=2" >>log; (sleep 1; echo 1 >"outlet$n"; echo "$n=1" >>log) >/dev/null 2>&1 & ;;
		esac
		echo DONE ;;
	esac
done
`

// snmpd starts Debian's SNMP agent with eight outlets, and says what they did.
func snmpd(t *testing.T, user string) (pcucontrol.Target, func() string) {
	t.Helper()
	program := debian.Need(t, "snmpd", "snmpd")
	dir := t.TempDir()
	script := filepath.Join(dir, "outlets")
	conf := filepath.Join(dir, "snmpd.conf")
	config := "rwcommunity private\n" + user + "pass_persist .1.3.6.1.4.1.318.1.1.4.4.2.1 " + script + "\n"
	for file, text := range map[string]string{script: outletScript, conf: config} {
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	runsIn(t, []string{"SNMP_PERSISTENT_DIR=" + dir}, program, "-f", "-Lo", "-C", "-c", conf, "-p",
		filepath.Join(dir, "pid"),
		fmt.Sprintf("udp:%s:%d", theirAddress, port))
	target := pcucontrol.Target{
		Model:    "APCSNMP",
		Host:     theirAddress,
		Port:     port,
		User:     "v2c",
		Password: "private",
		Outlet:   3,
	}
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err = models.Builtin().Status(enough(t), target); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("its status gives %v", err)
	}
	return target, func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "log"))
		return strings.Join(strings.Fields(string(text)), " ")
	}
}

func TestARackBehindDebiansSNMPAgentIsSwitched(t *testing.T) {
	t.Parallel()
	target, did := snmpd(t, "createUser monitor SHA authPass1 AES privPass1\nrwuser monitor priv\n")
	if res, err := models.Builtin().Cycle(enough(t), target); err != nil || !res.Verified ||
		res.After != pcucontrol.On {
		t.Fatalf("a cycle gives %+v, %v", res, err)
	}
	if res, err := models.Builtin().TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off ||
		did() != "3=2 3=1 3=2" {
		t.Fatalf("off gives %+v, %v and switched %q", res, err, did())
	}
	if list, err := builtin(t).List(enough(t), target); err != nil || len(list) != 8 ||
		list[2].State != pcucontrol.Off ||
		list[3].State != pcucontrol.On {
		t.Errorf("the outlets are %+v, %v", list, err)
	}
	for name, c := range map[string]struct {
		user, password string
		kind           pcucontrol.Kind
		says           string
	}{
		"in capitals":      {"v3 monitor SHA AES", "authPass1 privPass1", "", ""},
		"in small letters": {"v3 monitor sha aes", "authPass1 privPass1", "", ""},
		"with a wrong privacy": {"v3 monitor sha aes", "authPass1 wrongPass", pcucontrol.Auth,
			"privacy password"},
		"with another password":      {"v3 monitor sha aes", "wrongPass privPass1", pcucontrol.Auth, ""},
		"as nobody it knows":         {"v3 nobody sha aes", "authPass1 privPass1", pcucontrol.Auth, ""},
		"with a cipher not its own":  {"v3 monitor sha des", "authPass1 privPass1", pcucontrol.Auth, "cipher"},
		"by a hash that there isn't": {"v3 monitor rot13 aes", "authPass1 privPass1", pcucontrol.Auth, "SNMP v3 wants"},
		"by a wrong community":       {"v2c", "guess-me", pcucontrol.Timeout, "a wrong community shows so"},
	} {
		t.Run(name, func(t *testing.T) {
			target := target
			target.User, target.Password = c.user, c.password
			_, err := models.Builtin().Status(within(t, 20*time.Second), target)
			if pcucontrol.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("it gives %v", err)
			}
		})
	}
}
