package bootman

import (
	"bytes"
	_ "embed"
	"strings"
)

//go:embed data/disk-patterns.csv
var diskPatterns []byte

// maxEvidence is how many lines are enough to show that a disk fails.
const maxEvidence = 20

// Disks knows what a kernel says of failing media.
type Disks struct{ patterns []pattern }

// NewDisks reads the patterns that are built in.
func NewDisks() (*Disks, error) {
	patterns, err := readPatterns("disk-patterns.csv", diskPatterns)
	return &Disks{patterns}, err
}

// Failing gives the lines of dmesg by which media fail, each once and not more than are needed to show it. An error of a
// floppy drive alone is no failure: most machines have a drive and no disk in it.
func (d *Disks) Failing(dmesg []byte) []string {
	var lines []string
	seen := map[string]bool{}
	media := false
	for line := range bytes.Lines(dmesg) {
		text := fit(line)
		step := d.step(text)
		if step == "" {
			continue
		}
		floppy := strings.HasPrefix(step, "floppy")
		fresh := !media && !floppy // the first of them is shown, however many lines came before
		media = media || !floppy
		if !seen[text] && (len(lines) < maxEvidence || fresh) {
			seen[text] = true
			lines = append(lines, text)
		}
	}
	if !media {
		return nil
	}
	return lines
}

func (d *Disks) step(line string) string {
	for _, p := range d.patterns {
		if p.re.MatchString(line) {
			return p.step
		}
	}
	return ""
}
