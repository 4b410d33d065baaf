package rig

import (
	"testing"
	"time"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/testbed"
)

func TestTheConfigurationWrittenIsOneThatActs(t *testing.T) {
	dir := t.TempDir()
	if _, err := SSHKey(dir); err != nil {
		t.Fatal(err)
	}
	w := &testbed.World{PLC: "https://127.0.0.1:1/PLCAPI/", RT: "http://127.0.0.1:2", Resolver: "127.0.0.1:3"}
	file, _, err := Configure(dir, w, Settings{Database: "postgres://x/y", Temporal: "127.0.0.1:4", Listen: "127.0.0.1:5", SMTP: "127.0.0.1:6", Day: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: file, Env: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Require("plc", "database", "secrets", "temporal", "probe", "mail", "http"); err != nil {
		t.Error(err)
	}
	if cfg.Mode != config.ModeAct || cfg.MailMode() != config.MailLive || cfg.Warnings != nil || cfg.Policy.InRealTime().OfflineToDown != 6*time.Second {
		t.Errorf("mode %s, mail %s, warnings %q, offline is down after %s", cfg.Mode, cfg.MailMode(), cfg.Warnings, cfg.Policy.InRealTime().OfflineToDown)
	}
}
