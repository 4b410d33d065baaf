package connect

import (
	"time"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/store"
)

// Inventory opens what says what the fleet is made of: PLC, or a source whose place in the store is db. Nothing is read
// yet.
func Inventory(cfg *config.Config, db *store.Store) (inventory.Keeper, error) {
	if cfg.Inventory.Source == config.InventoryPLC {
		return PLC(cfg.PLC)
	}
	source, err := Source(cfg)
	if err != nil {
		return nil, err
	}
	fresh := time.Duration(0) // a file costs next to nothing
	if cfg.Inventory.Source == config.InventoryAnsible {
		fresh = ansibleFresh
	}
	return inventory.NewOwn(source, db, fresh, hook(cfg.Inventory.Penalty)), nil
}

// ansibleFresh is how long what Ansible said serves for a question about one node: a program is run for each answer.
const ansibleFresh = time.Minute

// Source is what a fleet without PLC is read from.
func Source(cfg *config.Config) (inventory.Source, error) {
	models, err := PCUs(cfg.PCU)
	if err != nil {
		return nil, err
	}
	if c := cfg.Inventory; c.Source == config.InventoryFile {
		return &inventory.File{Path: c.File, Models: models}, nil
	}
	a := cfg.Inventory.Ansible
	return &inventory.Ansible{Command: a.Command, Path: a.File, Timeout: a.Timeout, Sites: a.Sites,
		Variables: a.Variables, Models: models}, nil
}

// NoPLC says what takes PLC's place; nil: there is PLC.
func NoPLC(c config.Inventory) *inventory.NoPLC {
	if c.Source == config.InventoryPLC {
		return nil
	}
	return &inventory.NoPLC{Reinstall: hook(c.Reinstall), Penalties: c.Penalty.Set()}
}

func hook(h config.Hook) *inventory.Hook {
	return inventory.NewHook(inventory.HookOptions{Command: h.Command, URL: h.URL.Reveal(), Key: h.Key.Reveal(),
		Timeout: h.Timeout})
}

// From is how people are told where the fleet is written down.
func From(cfg *config.Config) string {
	if cfg.Inventory.Source == config.InventoryPLC {
		return "PLC"
	}
	return inventory.From
}

// Cache is how old what was read of the whole fleet may be when a sweep begins. What is not PLC is read at each.
func Cache(cfg *config.Config) time.Duration {
	if cfg.Inventory.Source == config.InventoryPLC {
		return cfg.PLC.Cache
	}
	return 0
}
