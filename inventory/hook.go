package inventory

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/command"
	"github.com/planetlab/monitor/plc"
)

// HookOptions say what does for a fleet what PLC does elsewhere: a command or a URL.
type HookOptions struct {
	Command []string // gets the order as JSON on its standard input
	URL     string   // gets it by POST; a secret: it appears in no error and no log
	Key     string   // signs the body, as the webhook of events is signed; empty: unsigned
	Timeout time.Duration
}

// Order is what a hook is asked to do. The same order may come twice, and must then do nothing new.
type Order struct {
	Do    string          `json:"do"`             // apply or undo
	What  string          `json:"what"`           // penalty or reinstall
	Site  string          `json:"site,omitempty"` // of a penalty
	Level int             `json:"level,omitempty"`
	Node  string          `json:"node,omitempty"`  // of a reinstallation
	Claim json.RawMessage `json:"claim,omitempty"` // what Monitor holds by it, for whom, and since when
}

// What an order says.
const (
	Apply         = "apply"
	Undo          = "undo"
	WhatPenalty   = "penalty"
	WhatReinstall = "reinstall"
)

// refused is the exit status by which a command says that it will never do what it was asked.
const refused = 2

// Hook carries out orders. A nil Hook is none.
type Hook struct{ o HookOptions }

// NewHook makes one; nil when neither a command nor a URL is given.
func NewHook(o HookOptions) *Hook {
	if len(o.Command) == 0 && o.URL == "" {
		return nil
	}
	return &Hook{o}
}

// Do carries out an order. An error that is [plc.ErrRefused] says that it was surely not done and will not be; any
// other that it may have been, and may be asked for again.
func (h *Hook) Do(ctx context.Context, order Order) error {
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, h.o.Timeout)
	defer cancel()
	if len(h.o.Command) > 0 {
		err = h.run(ctx, body)
	} else {
		err = h.post(ctx, body)
	}
	if err == nil || errors.Is(err, plc.ErrRefused) {
		return err
	}
	return as(plc.ErrUnavailable, err)
}

func (h *Hook) run(ctx context.Context, body []byte) error {
	_, err := command.Run(ctx, h.o.Command, body, 64<<10)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == refused {
		return as(plc.ErrRefused, err)
	}
	return err
}

func (h *Hook) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.o.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL of the hook cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "PlanetLab Monitor")
	if h.o.Key != "" {
		mac := hmac.New(sha256.New, []byte(h.o.Key))
		mac.Write(body)
		req.Header.Set("X-Monitor-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text holds the URL
			err = u.Err
		}
		return fmt.Errorf("the hook cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	code := resp.StatusCode
	if code < 300 {
		return nil
	}
	err = fmt.Errorf("the hook answers %d: %s", code, clean.Line(string(said)))
	if code >= 400 && code < 500 && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests {
		return as(plc.ErrRefused, err)
	}
	return err
}
