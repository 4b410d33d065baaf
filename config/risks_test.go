package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckConfigWarnsOfOpenDoors(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("key", strings.Repeat("ab", 32), 0o600)
	open := file("open", strings.Repeat("ab", 32), 0o644)
	group := file("group", strings.Repeat("ab", 32), 0o620)
	for _, c := range []struct{ name, text, want string }{
		{"PLC over http", "plc: {url: 'http://plc.example/PLCAPI/'}", "plc.url: the password of an admin account travels in the clear"},
		{"Postgres elsewhere", "database: {url: 'postgres://u:hunter2@db.example/m'}", "database.url: nothing proves"},
		{"Postgres elsewhere, encrypted to anybody", "database: {url: 'postgres://u@db.example/m?sslmode=require'}", "database.url: nothing proves"},
		{"Temporal elsewhere", "temporal: {address: 'temporal.example:7233'}", "temporal.tls: what Monitor tells Temporal"},
		{"a webhook over http", "webhook: {url: 'http://hook.example/hunter2'}", "webhook.url: the address, which is a secret"},
		{"alerts of everybody here", `alertmanager: {rules: ['{a="b"} nodedown host']}`, "alertmanager.token: whoever reaches the port"},
		{"mail in the clear", "mail: {smtp: 'mx.example:25', tls: none}", "mail.tls: mail travels in the clear"},
		{"a key that all may read", "secrets: {key_file: " + open + "}", "secrets.key_file: " + open + " is open to every account"},
		{"a key that a group may write", "secrets: {key_file: " + group + "}", "secrets.key_file: " + group + " may be written by its group"},
		{"a password that all may read", "plc: {password_file: " + open + "}", "plc.password_file: " + open + " is open"},
		{"secrets in a file that all may read", "plc: {password: hunter2}", "monitor.yaml:1: plc.password: the file is open to every account"},
		{"no open door", "plc: {url: 'https://plc.example/'}\ndatabase: {url: 'postgres://u@db.example/m?sslmode=verify-full'}\nsecrets: {key_file: " + key + "}\n" +
			"temporal: {address: 'temporal.example:7233', tls: true}\nwebhook: {url: 'https://hook.example/x', key: hunter2}\nhttp: {listen: '0.0.0.0:8080', behind_proxy: true}", ""},
		{"all on this machine", "plc: {url: 'http://127.0.0.1/'}\ndatabase: {url: 'postgres://u@/m?host=/run/pg'}\ntemporal: {address: 'localhost:7233'}\nwebhook: {url: 'http://[::1]/x'}", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			mode := os.FileMode(0o600)
			if strings.Contains(c.want, "monitor.yaml") {
				mode = 0o644
			}
			var out bytes.Buffer
			if err := Check(&out, Options{Path: file("monitor.yaml", c.text+"\n", mode), Env: []string{}}); err != nil {
				t.Fatal(err)
			}
			warned := strings.Contains(out.String(), "warning:")
			if c.want == "" && warned ||
				c.want != "" && !strings.Contains(out.String(), fmt.Sprintf("warning: %s", c.want)) {
				t.Errorf("got %s", out.String())
			}
			if strings.Contains(out.String(), "hunter2") {
				t.Errorf("it shows a secret: %s", out.String())
			}
		})
	}
}
