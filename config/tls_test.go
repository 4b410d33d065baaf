package config

import (
	"io"
	"strings"
	"testing"
)

func TestCheckTriesTheFilesThatAreNamed(t *testing.T) {
	noCert := write(t, "ca.pem", "hunter2\n")
	for path, file := range map[string]string{
		"secrets.key_file": noCert, "mail.ca_file": noCert, "plc.ca_file": "/nowhere/ca.pem", "probe.ssh_key_file": write(t, "empty", ""),
	} {
		err := Check(io.Discard, Options{Env: []string{}, Flags: &Flags{Set: []string{path + "=" + file}}})
		if err == nil || !strings.Contains(err.Error(), path+": ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestTemporalSpeaksTLSOnlyWhereAsked(t *testing.T) {
	cfg := mustLoad(t, "temporal: {address: 'x.tmprl.cloud:7233'}\n")
	if tls, err := cfg.Temporal.TLSConfig(); tls != nil || err != nil {
		t.Errorf("got %v, %v", tls, err)
	}
	cfg = mustLoad(t, "temporal: {tls: true, tls_server_name: a.test}\n", "TEMPORAL_API_KEY=k")
	if tls, err := cfg.Temporal.TLSConfig(); err != nil || tls.ServerName != "a.test" || cfg.Temporal.APIKey.Reveal() != "k" {
		t.Errorf("got %+v, %v", tls, err)
	}
	for _, text := range []string{"temporal: {api_key: k}\n", "temporal: {tls_ca_file: x}\n", "temporal: {tls: true, tls_cert_file: x}\n"} {
		if _, err := load(t, text); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
	cfg.Temporal.TLSCertFile, cfg.Temporal.TLSKeyFile = "/nowhere/a", "/nowhere/b"
	if _, err := cfg.Temporal.TLSConfig(); err == nil || !strings.Contains(err.Error(), "temporal.tls_cert_file") {
		t.Errorf("got %v", err)
	}
}
