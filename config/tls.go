package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLSConfig is the client's side of TLS for the mail server.
func (m Mail) TLSConfig() (*tls.Config, error) { return clientTLS("mail.ca_file", m.CAFile) }

// TLSConfig is the client's side of TLS for Request Tracker.
func (r RT) TLSConfig() (*tls.Config, error) { return clientTLS("rt.ca_file", r.CAFile) }

// TLSConfig is the client's side of TLS for Temporal, or nil when temporal.tls is false.
func (t Temporal) TLSConfig() (*tls.Config, error) {
	if !t.TLS {
		return nil, nil
	}
	config, err := clientTLS("temporal.tls_ca_file", t.TLSCAFile)
	if err != nil {
		return nil, err
	}
	config.ServerName = t.TLSServerName
	if t.TLSCertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.TLSCertFile, t.TLSKeyFile)
		if err != nil {
			return nil, fmt.Errorf("temporal.tls_cert_file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// TLSConfig is the server's side of TLS for the pages, or nil when they are served without.
func (h HTTP) TLSConfig() (*tls.Config, error) {
	if h.TLSCertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(h.TLSCertFile, h.TLSKeyFile)
	if err != nil {
		return nil, fmt.Errorf("http.tls_cert_file: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
}

// clientTLS trusts the authorities in a PEM file, or the system's when no file is named.
func clientTLS(path, file string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return config, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no certificate", path, file)
	}
	return config, nil
}

// Files tries every file that a program reads later.
func (c *Config) Files() error { return c.files() }

// files tries every file that a program reads later, so that --check-config finds what is wrong with them now.
func (c *Config) files() error {
	if _, err := c.Secrets.Key(); err != nil {
		return err
	}
	if _, err := c.Secrets.OldKeys(); err != nil {
		return err
	}
	if _, err := c.Temporal.PayloadKey(); err != nil {
		return err
	}
	if _, err := c.HTTP.TLSConfig(); err != nil {
		return err
	}
	if _, err := c.Mail.TLSConfig(); err != nil {
		return err
	}
	if _, err := c.RT.TLSConfig(); err != nil {
		return err
	}
	if _, err := c.Temporal.TLSConfig(); err != nil {
		return err
	}
	if _, err := clientTLS("plc.ca_file", c.PLC.CAFile); err != nil {
		return err
	}
	for _, file := range c.Probe.Keys() {
		if _, err := readSecret(file.Path); err != nil {
			return fmt.Errorf("%s: %w", file.Setting, err)
		}
	}
	return nil
}
