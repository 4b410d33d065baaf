package device

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Rack is outlets with nothing plugged in: their states and the log of what was switched, kept in a file where it has
// one.
type Rack struct {
	mu    sync.Mutex
	path  string
	about Identity
	on    []bool
	log   []PowerEvent
}

// Identity says in a state file whose it is.
type Identity struct {
	Model     string `json:"model"`
	Transport string `json:"transport"`
	Listen    string `json:"listen"`
}

// PowerEvent is one outlet going on or off.
type PowerEvent struct {
	At     time.Time `json:"at"`
	Outlet int       `json:"outlet"`
	State  string    `json:"state"` // on, off
}

// rackState is the form of a state file.
type rackState struct {
	Identity
	Outlets map[int]string `json:"outlets"` // by number: on, off
	Events  []PowerEvent   `json:"events"`  // the oldest first
}

// maxEvents is how much of the log is kept.
const maxEvents = 10000

// NewRack makes a rack of outlets that are on, but for those named.
func NewRack(outlets int, off ...int) (*Rack, error) {
	if outlets < 1 || outlets > 999 {
		return nil, fmt.Errorf("a rack of %d outlets; it may have 1 to 999", outlets)
	}
	r := &Rack{on: make([]bool, outlets), log: []PowerEvent{}}
	for i := range r.on {
		r.on[i] = true
	}
	for _, n := range off {
		if n < 1 || n > outlets {
			return nil, fmt.Errorf("outlet %d is off, but there are %d", n, outlets)
		}
		r.on[n-1] = false
	}
	return r, nil
}

// Keep writes the state to a file, now and at every power event; the file is replaced, never half written.
func (r *Rack) Keep(path string, about Identity) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.path, r.about = path, about
	return r.save()
}

// Count is the number of outlets.
func (r *Rack) Count() int { return len(r.on) }

// State tells whether outlet n is on.
func (r *Rack) State(n int) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < 1 || n > len(r.on) {
		return false, fmt.Errorf("no outlet %d", n)
	}
	return r.on[n-1], nil
}

// Set switches outlet n; what is so already is no event.
func (r *Rack) Set(n int, on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < 1 || n > len(r.on) {
		return fmt.Errorf("no outlet %d", n)
	}
	if r.on[n-1] == on {
		return nil
	}
	r.on[n-1] = on
	r.log = append(r.log, PowerEvent{time.Now().UTC(), n, word(on)})
	r.log = r.log[max(0, len(r.log)-maxEvents):]
	return r.save()
}

// Events is the log, the oldest first.
func (r *Rack) Events() []PowerEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]PowerEvent(nil), r.log...)
}

func word(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (r *Rack) save() error {
	if r.path == "" {
		return nil
	}
	s := rackState{r.about, map[int]string{}, r.log}
	for i, on := range r.on {
		s.Outlets[i+1] = word(on)
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(r.path), filepath.Base(r.path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), r.path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
