package policy

import "fmt"

// Mode is what Monitor may do to the world.
type Mode string

// The modes, the narrowest first.
const (
	Observe Mode = "observe" // look and decide, do nothing
	Act     Mode = "act"
)

// ParseMode reads a mode.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Observe, Act:
		return m, nil
	}
	return Observe, fmt.Errorf("%q is no mode: say observe or act", s)
}

// Narrowest is the mode that allows least. Anything but act observes.
func Narrowest(modes ...Mode) Mode {
	for _, m := range modes {
		if m != Act {
			return Observe
		}
	}
	return Act
}
