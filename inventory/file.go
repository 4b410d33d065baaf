package inventory

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/planetlab/monitor/pcucontrol"
)

// mostText is above any inventory, and below what would fill the memory.
const mostText = 64 << 20

// File is one YAML file. It is read anew each time; one that has not changed is not parsed again.
type File struct {
	Path   string
	Models *pcucontrol.Catalog

	mu   sync.Mutex
	sum  [sha256.Size]byte
	last *Fleet
}

// Read reads the file and checks it. An error that is no [Mistakes] says that there is nothing to read.
func (f *File) Read(context.Context) (*Fleet, error) {
	text, err := readBounded(f.Path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256(text)
	if f.last != nil && sum == f.sum {
		return f.last, nil
	}
	fleet, err := Parse(f.Path, text, f.Models)
	if err == nil {
		f.sum, f.last = sum, fleet
	}
	return fleet, err
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the inventory cannot be read: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, mostText+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the inventory cannot be read: %w", err)
	case len(text) > mostText:
		return nil, fmt.Errorf("the inventory %s is larger than %d MiB", path, mostText>>20)
	case len(text) == 0:
		return nil, fmt.Errorf("the inventory %s is empty", path)
	}
	return text, nil
}

// Parse reads the text of a file, and finds all that is wrong with it: the error is then [Mistakes].
func Parse(path string, text []byte, models *pcucontrol.Catalog) (*Fleet, error) {
	m := &mistakes{file: path}
	f := decode(m, text)
	f.complete()
	check(m, f, models)
	for i := range f.Sites {
		for p := range f.Sites[i].PCUs {
			secret := &f.Sites[i].PCUs[p].Password
			if secret.File != "" && !filepath.IsAbs(secret.File) {
				secret.File = filepath.Join(filepath.Dir(path), secret.File)
			}
		}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return f, nil
}
