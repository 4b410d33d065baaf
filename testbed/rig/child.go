package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// child is a process that ends with us: killed when we die first.
type child struct {
	process *os.Process
	ended   chan struct{}
	err     error // how it ended
}

// spawn starts a child. What it writes goes to the end of a log in the rig's folder.
func (r *Rig) spawn(cmd *exec.Cmd, logName string) (*child, error) {
	f, err := os.OpenFile(filepath.Join(r.dir, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = f, f
	ownGroup(cmd)
	c := &child{ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // a child's death signal comes when the thread that made it ends, so this one stays
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
		}
		runtime.UnlockOSThread() // else the thread ends with us, and with it whatever else was ever started on it, as Postgres
		close(c.ended)
		_ = f.Close()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%w: run `make build` first", err)
	}
	c.process = cmd.Process
	return c, nil
}

// running reports whether the child has not ended.
func (c *child) running() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// stop asks the child to end, and kills it when it takes too long. It reports whether it had to.
func (c *child) stop(ask func() error, limit time.Duration) (killed bool) {
	if !c.running() {
		return false
	}
	_ = ask()
	select {
	case <-c.ended:
		return false
	case <-time.After(limit):
		_ = c.process.Kill()
		<-c.ended
		return true
	}
}
