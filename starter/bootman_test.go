package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/fakenode"
)

const keyLog = "Initializing the BootManager.\nReading node configuration file.\nAuthenticating node with PLC.\nFailed to authenticate call: Call could not be authenticated\nStarting debug mode\n"
const keySequence = "bminit-cfg-auth-authfail-debug-done"

func TestALogIsNamedWithoutADatabase(t *testing.T) {
	alone(t)
	file := filepath.Join(t.TempDir(), "bm.log")
	if err := os.WriteFile(file, []byte(keyLog), 0o600); err != nil {
		t.Fatal(err)
	}
	got := call(t.Context(), "bootman", "read", "--file", file)
	wantCode(t, got, exitOK)
	wantIn(t, got.out, keySequence, "repair_node_keys")
	got = call(t.Context(), "bootman", "read", "--file", file, "-o", "json")
	wantCode(t, got, exitOK)
	if v := wantStable(t, got.out).(map[string]any); v["sequence"] != keySequence || v["action"] != "repair_node_keys" || v["known"] != true {
		t.Errorf("it is %v", v)
	}
	if err := os.WriteFile(file, []byte("Starting debug mode\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = call(t.Context(), "bootman", "read", "--file", file)
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "debug-done", "nobody has met this sequence")
	for _, args := range [][]string{{"bootman", "read"}, {"bootman", "read", host, "--file", file}, {"bootman", "read", "--file", "/nowhere/bm.log"}} {
		wantCode(t, call(t.Context(), args...), exitUsage)
	}
}

func TestSequencesAreTaughtFromTheCommandLine(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	got := call(t.Context(), "bootman", "sequences", "show", keySequence)
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "repair_node_keys", "shipped")
	wantCode(t, call(t.Context(), "bootman", "sequences", "show", "bminit-new-done"), exitNotFound)
	wantCode(t, call(t.Context(), "bootman", "sequences", "set", "bminit-new-done", "dance"), exitUsage)
	wantCode(t, call(t.Context(), "bootman", "sequences", "set", "bminit; done", "fsck_repair"), exitUsage)
	got = call(t.Context(), "bootman", "sequences", "set", "bminit-new-done", "fsck_repair")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "bminit-new-done", "fsck_repair", "alice")
	got = call(t.Context(), "bootman", "sequences", "list", "--action", "fsck_repair", "-o", "json")
	wantCode(t, got, exitOK)
	if list := wantStable(t, got.out).([]any); len(list) != 15 {
		t.Errorf("%d sequences call for fsck_repair", len(list))
	}
	wantCode(t, call(t.Context(), "bootman", "sequences", "list", "--action", "dance"), exitUsage)
}

func TestTheLastLogOfANodeIsPrinted(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	got := call(t.Context(), "bootman", "log", host)
	wantCode(t, got, exitNotFound)
	wantIn(t, got.err, "there is no log of "+host)
	const evil = "\x1b[2J\u009b31m\u202e\xff" // an escape, a C1 control, a bidirectional one, and what is no UTF-8
	if err := db.SaveBootLog(t.Context(), store.BootLog{Node: host, At: noon(), Sequence: keySequence, Log: []byte(keyLog + evil)}); err != nil {
		t.Fatal(err)
	}
	got = call(t.Context(), "bootman", "log", host)
	wantCode(t, got, exitOK)
	wantIn(t, got.out, keySequence, "Call could not be authenticated\nStarting debug mode")
	controls := func(text string) bool { return strings.ContainsAny(text, "\x1b\u009b\u202e") }
	if controls(got.out) {
		t.Errorf("the log of a far machine drives the terminal: %q", got.out)
	}
	got = call(t.Context(), "bootman", "log", host, "-o", "json")
	wantCode(t, got, exitOK)
	if controls(got.out) {
		t.Errorf("as JSON the log of a far machine drives the terminal: %q", got.out)
	}
	if v := wantStable(t, got.out).(map[string]any); v["size"] != float64(len(keyLog)+len(evil)) || !strings.HasPrefix(v["log"].(string), keyLog) {
		t.Errorf("it is %v", v)
	}
}

func TestANodeIsReadOverSSHAndLeftAsItIs(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	root, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "monitor.yaml")
	for name, text := range map[string]string{
		"key": string(pem.EncodeToMemory(block)), "password": "s3cret",
		"monitor.yaml": fmt.Sprintf("database: {url: %q}\nplc: {url: \"http://127.0.0.1:1/PLCAPI/\", username: monitor, password_file: %s/password}\nprobe: {ssh_key_file: %s/key, port_map: {22: 22022, 80: 22080, 806: 22806}}\n", url, dir, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n, err := fakenode.New(fakenode.Options{Host: host, IP: "127.10.1.1", PortMap: map[int]int{22: 22022, 80: 22080, 806: 22806}, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	n.SetDebugMode(fakenode.DebugMode{Log: keyLog})
	if err := n.SetState(fakenode.Debug); err != nil {
		t.Fatal(err)
	}
	got := call(t.Context(), "--config", config, "bootman", "read", host)
	wantCode(t, got, exitOK)
	wantIn(t, got.out, keySequence, "repair_node_keys", "debug")
	if told := n.Told(); len(told) > 0 {
		t.Errorf("the node was told %q", told)
	}
	if err := n.SetState(fakenode.Off); err != nil {
		t.Fatal(err)
	}
	if err := n.SetState(fakenode.Debug); err != nil { // with another key, and PLC is away
		t.Fatal(err)
	}
	got = call(t.Context(), "--config", config, "bootman", "read", host)
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "the host key has changed", "PLC cannot be asked why", "--accept-host-key")
	if strings.Contains(got.err, "s3cret") {
		t.Errorf("a password shows: %s", got.err)
	}
	for _, args := range [][]string{{"--accept-host-key"}, nil} { // once accepted it is known
		got = call(t.Context(), append([]string{"--config", config, "bootman", "read", host}, args...)...)
		wantCode(t, got, exitOK)
	}
	wantCode(t, call(t.Context(), "--config", config, "bootman", "read", "nobody.example"), exitNotFound)
}
