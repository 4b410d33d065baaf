package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/config"
)

// healthy asks a worker that runs on this machine whether it is ready, for the health checks of containers.
func healthy(ctx context.Context, c config.Metrics) error {
	if c.Listen == "" {
		return errors.New("metrics.listen is empty, so a running worker cannot be asked")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("metrics.listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the worker does not answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("the worker answers %s: %s", resp.Status,
			clean.Line(strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "; ")))
	}
	return nil
}
