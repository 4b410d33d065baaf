package pcucontrol_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
)

// nginx starts Debian's web server on loopback. Its log has each request, and who it said calls.
func nginx(t *testing.T, location string) (port int, log string) {
	t.Helper()
	server := debian.Unpack(t, "nginx", "usr/sbin/nginx")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	port = freePort(t)
	write("passwords", "admin:{PLAIN}"+password+"\n")
	write("index.html", "<html><title>Welcome to our web server</title></html>")
	write("conf", fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
	log_format who '$request "$http_authorization"';
	access_log %[1]s/log who;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server {
		listen %[4]s:%[2]d;
		root %[1]s;
		error_page 404 405 =200 /index.html;
		location / { %[3]s }
	}
}
`, dir, port, strings.ReplaceAll(location, "{dir}", dir), theirAddress))
	cmd := exec.Command(server, "-p", dir, "-c", filepath.Join(dir, "conf"))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		debian.Missing(t, "nginx does not start: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", net.JoinHostPort(theirAddress, strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
			return port, filepath.Join(dir, "log")
		}
		if time.Now().After(end) {
			debian.Missing(t, "nginx does not answer here: %s", said.String())
		}
	}
}

func TestAWebServerIsNoPCU(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		location string
		told     bool // it asks for a login, and is told
	}{
		"one that shows any page to anybody":     {"", false},
		"one that asks for a login to its pages": {`auth_basic "inside"; auth_basic_user_file {dir}/passwords;`, true},
	} {
		t.Run(name, func(t *testing.T) {
			port, log := nginx(t, c.location)
			for _, model := range []string{"ePowerSwitchNew", "ePowerSwitchOld", "BlackBoxPSMaverick", "Shelly",
				"ShellyGen2", "Tasmota"} {
				target := pcucontrol.Target{
					Model:     model,
					Transport: "http",
					Host:      theirAddress,
					Port:      port,
					User:      "admin",
					Password:  password,
					Outlet:    3,
				}
				for op, call := range map[string]func() error{
					"a dry run": func() error { _, err := models.Builtin().Test(enough(t), target); return err },
					"a cycle":   func() error { _, err := models.Builtin().Cycle(enough(t), target); return err },
				} {
					var e *pcucontrol.Error
					if err := call(); !errors.As(err, &e) || e.Kind == pcucontrol.Ambiguous || e.RetrySafe() {
						t.Errorf("%s of a %s gives %v", op, model, err)
					}
				}
			}
			text, err := os.ReadFile(log)
			if err != nil || len(text) == 0 {
				t.Fatalf("its log has %q, %v", text, err)
			}
			for _, line := range strings.Split(string(text), "\n") {
				if strings.Contains(line, "/shelly") && strings.Contains(line, "Basic") {
					t.Errorf("what is no Shelly was told the password: %s", line)
				}
			}
			told := strings.Contains(string(text), base64.StdEncoding.EncodeToString([]byte("admin:"+password)))
			if strings.Contains(string(text), "POST") || told != c.told {
				t.Errorf("it was asked\n%s", text)
			}
		})
	}
}
