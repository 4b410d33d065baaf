package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol/models"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// modelFile is a folder with one model file: an APC whose telnet has another port.
func modelFile(t *testing.T, name, port string) string {
	t.Helper()
	text, err := os.ReadFile("../pcucontrol/models/apc-cli.yaml")
	if err != nil {
		t.Fatal(err)
	}
	own := strings.NewReplacer("telnet 23", "telnet "+port, "ssh 22, ", "", "APCControl:", name+":").
		Replace(string(text))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "own.yaml"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheModelsAreListed(t *testing.T) {
	alone(t)
	got := call(t.Context(), "pcu", "models")
	wantCode(t, got, exitOK)
	for _, m := range models.Builtin().Models() {
		wantIn(t, got.out, m.Name, m.About)
		for _, tr := range m.Transports {
			wantIn(t, got.out, fmt.Sprintf("%s %d", tr.Name, tr.Port))
		}
	}
	got = call(t.Context(), "pcu", "models", "-o", "json")
	wantCode(t, got, exitOK)
	var list []pcucontrol.Model
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list) != len(models.Builtin().Models()) ||
		list[0].Name == "" {
		t.Errorf("%v, %s", err, got.out)
	}
}

func TestModelsOfAnOperatorsFileAreLikeOthers(t *testing.T) {
	alone(t)
	rack, err := pcudev.NewRack(4)
	if err != nil {
		t.Fatal(err)
	}
	d, err := pcudev.New(
		pcudev.Options{Model: "APCControl", Transport: "telnet", User: "apc", Password: password, Outlets: rack})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { _ = d.Serve(l) }()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	dir := modelFile(t, "OurRack", port)
	got := call(t.Context(), "pcu", "models", "--models", dir)
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "OurRack", "telnet "+port, "OpenIPMI")

	t.Setenv(passwordVariable, password)
	t.Setenv(modelsVariable, dir)
	got = call(t.Context(), "pcu", "off", "--model", "OurRack", "--host", "127.0.0.1", "--user", "apc", "--outlet", "2")
	wantCode(t, got, exitOK)
	if e := rack.Events(); len(e) != 1 || e[0].Outlet != 2 {
		t.Errorf("it switched %v", e)
	}

	got = call(t.Context(), "pcu", "scan", "--host", "127.0.0.1")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, port, "open", "OurRack", "User Name :")
	got = call(t.Context(), "pcu", "scan", "--host", "127.0.0.1", "-o", "json")
	wantCode(t, got, exitOK)
	var v scanView
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v.Host != "127.0.0.1" || len(v.Ports) < 2 ||
		v.Error != "" {
		t.Errorf("%v, %s", err, got.out)
	}
	got = call(t.Context(), "__complete", "pcu", "on", "--model", "")
	wantIn(t, got.out, "OurRack\t", "OpenIPMI\t")
	got = call(t.Context(), "__complete", "pcu", "on", "--model", "APCControl12p3", "--transport", "")
	wantIn(t, got.out, "telnet\n", "ssh\n")
}

func TestABrokenModelFileIsBadInput(t *testing.T) {
	alone(t)
	dir := modelFile(t, "OurRack", "nowhere")
	got := call(t.Context(), "pcu", "models", "--models", dir)
	wantCode(t, got, exitUsage)
	wantIn(t, got.err, "--models", "own.yaml", "telnet nowhere", "a port")
	got = call(t.Context(), "pcu", "models", "--models", "/nowhere/models")
	wantCode(t, got, exitUsage)
	wantIn(t, got.err, "/nowhere/models")
}

func TestAScanOfNobodyExitsAsUnreachable(t *testing.T) {
	alone(t)
	got := call(t.Context(), "pcu", "scan", "--host", "127.0.0.76")
	wantCode(t, got, 15)
	wantIn(t, got.out, "closed", "telnet")
	wantIn(t, got.err, "unreachable")
	got = call(t.Context(), "pcu", "scan", "--host", "nowhere.invalid", "-o", "json")
	wantCode(t, got, 15)
	var v scanView
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v.Kind != pcucontrol.Unreachable {
		t.Errorf("%v, %s", err, got.out)
	}
	wantCode(t, call(t.Context(), "pcu", "scan"), exitUsage)
}
