package rig

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/testbed"
)

// Settings are what the product needs to know beside the testbed itself.
type Settings struct {
	Database string // URL
	Temporal string // host:port
	Listen   string // host:port of the worker's port for machines
	Pages    string // host:port of the pages for people; empty: none
	URL      string // of the pages, for the links in mails; empty: mails have none
	Public   string // who sees them without signing in; off
	UI       string // URL of Temporal's Web UI
	SMTP     string // host:port
	PLC, RT  string // URLs; the testbed's own where empty
	NoRT     bool   // write to people by mail alone
	NoPLC    bool   // know the fleet from a file, and have no PLC
	Day      time.Duration
	Policy   map[string]any // over the defaults
	Probe    map[string]any // over the testbed's quick ones
	PCU      map[string]any // over the testbed's quick ones

	BehindProxy bool // nobody but a proxy, or a container's own port, reaches the pages

	SweepEvery string // 0.4d
	PLCTimeout string // 2m
}

type section = map[string]any

// SSHKey makes the key that opens the testbed's nodes and leaves it in dir, where Configure's file names it.
func SSHKey(dir string) (ssh.PublicKey, error) {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "monitor testbed")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "ssh_key"), pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(pub)
}

// Configure writes the configuration of every program into dir, with its secrets in files beside it. It returns the file and the key that
// seals PCU passwords.
func Configure(dir string, w *testbed.World, s Settings) (file string, key []byte, err error) {
	key = make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return "", nil, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	policy := section{"day": s.Day.String()}
	maps.Copy(policy, s.Policy)
	probe := section{"ssh_key_file": in("ssh_key"), "port_map": testbed.PortMap(), "resolver": w.Resolver, "timeout": "1200ms", "parallel": 16, "tries": 1, "ping": false}
	maps.Copy(probe, s.Probe)
	pcu := section{"networks": []string{"127.0.0.0/8"}, "connect_timeout": "2s", "operation_timeout": "10s"}
	if s.NoPLC {
		pcu["legacy"] = []string{"Redfish"} // BMCs have certificates of their own
	}
	maps.Copy(pcu, s.PCU)
	s.Public = cmp.Or(s.Public, "off")
	s.PLC, s.RT = cmp.Or(s.PLC, w.PLC), cmp.Or(s.RT, w.RT)
	tracker := section{"url": s.RT, "token_file": in("rt_token"), "queue": testbed.RTQueue}
	if s.NoRT {
		tracker = nil
	}
	settings := section{
		"mode":     "act",
		"plc":      section{"url": s.PLC, "username": testbed.PLCUser, "password_file": in("plc_password"), "ca_file": in("plc_ca.pem"), "cache": "0s", "timeout": cmp.Or(s.PLCTimeout, "2m")},
		"database": section{"url_file": in("database_url")},
		"secrets":  section{"key_file": in("secret_key")},
		"temporal": section{"address": s.Temporal},
		"probe":    probe,
		"pcu":      pcu,
		"mail":     section{"smtp": s.SMTP, "from": "PlanetLab Monitor <monitor@plc.example>", "tls": "none", "mode": "live", "admins": []string{"noc@plc.example"}},
		"rt":       tracker,
		"policy":   policy,
		"sweep":    section{"every": cmp.Or(s.SweepEvery, "0.4d"), "jitter": "0s"},
		"http":     section{"listen": s.Listen, "behind_proxy": s.BehindProxy},
		"web":      section{"listen": s.Pages, "url": s.URL, "public": s.Public, "temporal_ui": s.UI},
	}
	if s.NoPLC {
		settings["inventory"] = section{"source": "file", "file": in("fleet.yaml")}
		delete(settings, "plc")
	}
	text, err := yaml.Marshal(settings)
	if err != nil {
		return "", nil, err
	}
	for name, text := range map[string]string{
		"fleet.yaml": w.Inventory(), "bmc_password": testbed.BMCPassword, "pcu_password": "pcu-s3cret",
		"plc_password": testbed.PLCPassword, "plc_ca.pem": string(w.PLCCA), "database_url": s.Database, "secret_key": hex.EncodeToString(key), "rt_token": testbed.RTToken, "monitor.yaml": string(text),
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			return "", nil, err
		}
	}
	return in("monitor.yaml"), key, nil
}
