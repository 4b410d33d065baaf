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

	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// ErrHostKey says that a node shows another ssh host key than it should.
var ErrHostKey = probe.ErrHostKey

// ErrNotCompared says that a node shows another ssh host key than before, and that nobody could be asked whether it
// may. That is no finding about the node.
var ErrNotCompared = errors.New("the host key has changed")

// HostKeys says which ssh host keys are believed, by the probe and by bootman alike. The first key that a node shows
// is; a later one only when PLC has a reason for it, since a boot from the CD makes a new key and so does an
// installation. To believe a key is enough to look, and to start what is harmless; see Proven for the rest.
type HostKeys struct {
	Store     *store.Store
	Inventory inventory.Keeper
	From      string // PLC, or the inventory
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

// Proven reports whether the key by which a node is known is surely the node's: it told PLC this key itself, over TLS
// and under its own node key, or a person compared it. Else why says what is missing. Somebody in a node's place could
// hand out a log of his making, and a key of his for PLC to believe.
func (h HostKeys) Proven(ctx context.Context, host string) (proven bool, why string, err error) {
	known, err := h.Store.HostKey(ctx, host)
	if err != nil {
		return false, "", err
	}
	if known == "" {
		return false, "no host key of it is known", nil
	}
	by, err := h.Store.HostKeyConfirmed(ctx, host)
	if err != nil {
		return false, "", err
	}
	if by != "" {
		return true, by + " has confirmed its host key", nil
	}
	n, err := h.Inventory.Node(ctx, host)
	if err != nil {
		return false, "", err
	}
	told, _, _, _, err := ssh.ParseAuthorizedKey([]byte(n.SSHKey))
	if err == nil && textOf(told) == known {
		return true, "it told " + h.From + " its host key", nil
	}
	return false, "nothing proves that it is the node: its host key is not the one in " + h.From + "; compare the " +
		"key, " +
		"then say `monitor bootman read " + host + " --accept-host-key`", nil
}

// newSystem are the boot states and run levels of a node that runs from its CD or was just installed from it.
var newSystem = []string{"failboot", "safeboot", "install", "reinstall", "disabled"}

// MayChange says why a node may show a new key; ErrHostKey: nothing in PLC explains it; ErrNotCompared: PLC did not
// answer.
func (h HostKeys) MayChange(ctx context.Context, host string, key ssh.PublicKey) (string, error) {
	if known, err := h.Store.HostKey(ctx, host); err == nil && known == textOf(key) {
		return "it is believed already", nil
	}
	n, err := h.Inventory.Node(ctx, host)
	if err != nil {
		return "", fmt.Errorf("%w, and %s cannot be asked why: %w", ErrNotCompared, h.From, err)
	}
	told, _, _, _, err := ssh.ParseAuthorizedKey([]byte(n.SSHKey))
	switch {
	case err == nil && bytes.Equal(told.Marshal(), key.Marshal()):
		return "the node told " + h.From + " this key", nil
	case slices.Contains(newSystem, n.RunLevel):
		return h.From + " has the node at run level " + n.RunLevel, nil
	case slices.Contains(newSystem, n.BootState):
		return h.From + " has the node at boot state " + n.BootState, nil
	}
	return "", fmt.Errorf("%w to %s, and %s neither has the node in debug mode or reinstalled nor was told that key",
		ErrHostKey, ssh.FingerprintSHA256(key), h.From)
}
