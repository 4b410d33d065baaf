package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/planetlab/monitor/config"
)

// healthy asks a worker that runs on this machine whether it is well, for the health checks of containers.
func healthy(ctx context.Context, c config.HTTP) error {
	if c.Listen == "" {
		return errors.New("http.listen is empty, so a running worker cannot be asked")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("http.listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme, transport := "http", &http.Transport{}
	own, err := c.TLSConfig()
	if err != nil {
		return err
	}
	if own != nil { // it is known by its certificate, whatever name stands in that
		scheme = "https"
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true,
			VerifyPeerCertificate: func(shown [][]byte, _ [][]*x509.Certificate) error {
				if len(shown) == 0 || !bytes.Equal(shown[0], own.Certificates[0].Certificate[0]) {
					return errors.New("another server answers there")
				}
				return nil
			}}
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		scheme+"://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("the worker does not answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the worker answers %s", resp.Status)
	}
	return nil
}
