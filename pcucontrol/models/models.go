// Package models is the catalog of power control units that can be driven: those described by the model files beside
// it, those that need code, and those of an operator.
package models

import (
	"embed"
	"errors"
	"slices"
	"sync"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/script"
)

//go:embed *.yaml
var modelFiles embed.FS

// Builtin is read once: the files are in the program, and nothing changes them.
var Builtin = sync.OnceValue(func() *pcucontrol.Catalog {
	var all []pcucontrol.Model
	entries, err := modelFiles.ReadDir(".")
	for _, e := range entries {
		text, readErr := modelFiles.ReadFile(e.Name())
		found, parseErr := script.Read(e.Name(), text)
		err = errors.Join(err, readErr, parseErr)
		all = append(all, modelsOf(found)...)
	}
	if err != nil {
		panic(err) // a broken file in the program itself; the tests read them all
	}
	for _, m := range protocols() {
		i := slices.IndexFunc(all, func(o pcucontrol.Model) bool { return o.Name == m.Name })
		if i >= 0 { // its conversation is the second choice
			m = pcucontrol.NewModel(m.Name, m.About, m.Outlets, append(m.Routes, all[i].Routes...)...)
		}
		all = append(all, m)
	}
	return pcucontrol.NewCatalog(all, families()...)
})

// Open is the built-in catalog and, before it, the models in an operator's folders of model files. docs/pcu.md tells
// their form.
func Open(dirs ...string) (*pcucontrol.Catalog, error) {
	c := Builtin()
	for _, dir := range dirs {
		found, err := script.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		c = c.With(modelsOf(found)...)
	}
	return c, nil
}

// modelsOf are the models that files describe.
func modelsOf(found map[string]script.Conversation) (list []pcucontrol.Model) {
	for name, c := range found {
		list = append(list, c.Model(name))
	}
	return list
}
