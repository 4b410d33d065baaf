package policy

import "fmt"

// Mode is what Monitor may do to the world.
type Mode string

// The modes, the narrowest first.
const (
	ModeObserve Mode = "observe" // look and decide, do nothing
	ModeAct     Mode = "act"
)

// ParseMode reads a mode.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case ModeObserve, ModeAct:
		return m, nil
	}
	return ModeObserve, fmt.Errorf("%q is no mode: say observe or act", s)
}

// Narrowest is the mode that allows least. Anything but act observes.
func Narrowest(modes ...Mode) Mode {
	for _, m := range modes {
		if m != ModeAct {
			return ModeObserve
		}
	}
	return ModeAct
}
