// Package command runs an operator's command within a time and a size, and ends all that it has started.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/planetlab/monitor/clean"
)

// Run runs a command with a standard input, and gives what it writes, up to a size. Its error ends with the last
// line that it wrote to its standard error.
func Run(ctx context.Context, words []string, in []byte, most int) ([]byte, error) {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdin, cmd.WaitDelay = bytes.NewReader(in), time.Second
	out, said := &bounded{most: most}, &bounded{most: 64 << 10, tail: true}
	cmd.Stdout, cmd.Stderr = out, said
	ownGroup(cmd)
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s did not end in time", words[0])
	case out.over:
		return nil, fmt.Errorf("%s wrote more than %d KiB", words[0], most>>10)
	case err != nil:
		if line := clean.Line(lastLine(said.text)); line != "" {
			err = fmt.Errorf("%w: %s", err, line)
		}
		return nil, fmt.Errorf("%s: %w", words[0], err)
	}
	return out.text, nil
}

func lastLine(text []byte) string {
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// bounded keeps what is written to it up to a size: the beginning, or the end where only that is asked for.
type bounded struct {
	text []byte
	most int
	tail bool
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	b.text = append(b.text, p...)
	if extra := len(b.text) - b.most; extra > 0 {
		if !b.tail {
			b.over, b.text = true, b.text[:b.most]
			return 0, errors.New("too much output") // which ends the command
		}
		b.text = append(b.text[:0], b.text[extra:]...)
	}
	return len(p), nil
}
