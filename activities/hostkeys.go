package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
)

// ErrHostKey says that a node shows another ssh host key than it should.
var ErrHostKey = errors.New("the host key has changed")

// HostKeys says which ssh host keys are believed. The first key that a node shows is; a later one only when PLC has a
// reason for it, since a boot from the CD makes a new key and so does an installation.
type HostKeys struct {
	Store *store.Store
	PLC   *plc.Client
}

// Check lets a key pass or says why not, and writes down the one that is believed from now on.
func (h HostKeys) Check(ctx context.Context, host string, key ssh.PublicKey) error {
	known, err := h.Store.HostKey(ctx, host)
	if err != nil || known == textOf(key) {
		return err
	}
	reason := "the first key it showed"
	if known != "" {
		if reason, err = h.MayChange(ctx, host, key); err != nil {
			return err
		}
	}
	return h.Store.SetHostKey(ctx, host, key, reason, time.Now())
}

func textOf(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// newSystem are the boot states and run levels of a node that runs from its CD or was just installed from it.
var newSystem = []string{"failboot", "safeboot", "install", "reinstall", "disabled"}

// MayChange says why a node may show a new key; ErrHostKey: nothing in PLC explains it.
func (h HostKeys) MayChange(ctx context.Context, host string, key ssh.PublicKey) (string, error) {
	if known, err := h.Store.HostKey(ctx, host); err == nil && known == textOf(key) {
		return "it is believed already", nil
	}
	n, err := h.PLC.Node(ctx, host)
	if err != nil {
		return "", fmt.Errorf("%w, and PLC cannot be asked why: %w", ErrHostKey, err)
	}
	told, _, _, _, err := ssh.ParseAuthorizedKey([]byte(n.SSHKey))
	switch {
	case err == nil && bytes.Equal(told.Marshal(), key.Marshal()):
		return "the node told PLC this key", nil
	case slices.Contains(newSystem, n.RunLevel):
		return "PLC has the node at run level " + n.RunLevel, nil
	case slices.Contains(newSystem, n.BootState):
		return "PLC has the node at boot state " + n.BootState, nil
	}
	return "", fmt.Errorf("%w to %s, and PLC neither has the node in debug mode or reinstalled nor was told that key",
		ErrHostKey, ssh.FingerprintSHA256(key))
}
