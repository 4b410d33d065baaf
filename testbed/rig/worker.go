package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Worker is one monitor-worker. It may be ended in every way and started again.
type Worker struct {
	rig                       *Rig
	bin, listen, health, name string

	mu    sync.Mutex
	c     *child
	asked bool // somebody ended the process, or asked it to end
}

// Start starts the worker, if it does not run, and does not wait until it works.
func (w *Worker) Start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c.running() {
		return nil
	}
	cmd := exec.Command(filepath.Join(w.bin, "monitor-worker"), "--config", w.rig.Config)
	cmd.Env = append(environment(), "MONITOR_HTTP_LISTEN="+w.listen, "MONITOR_METRICS_LISTEN="+w.health, "PGAPPNAME="+w.name) // Postgres can tell whose connection it is
	c, err := w.rig.spawn(cmd, w.name+".log")
	if err != nil {
		return err
	}
	w.c, w.asked = c, false
	return nil
}

// Bin has the worker start from another folder of programs the next time, as a release does.
func (w *Worker) Bin(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bin = dir
}

// Name is how the worker calls itself in Postgres, and its log.
func (w *Worker) Name() string { return w.name }

// GaveUp reports whether the process has ended and nobody had asked it to.
func (w *Worker) GaveUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.c != nil && !w.c.running() && !w.asked
}

// Process is the running process.
func (w *Worker) Process() *os.Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.c.process
}

// Running reports whether the process has not ended.
func (w *Worker) Running() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.c.running()
}

// Kill ends the worker at once, in the midst of whatever it does.
func (w *Worker) Kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.c.running() {
		w.asked = true
		_ = w.c.process.Kill()
		<-w.c.ended
	}
}

// Freeze stops the worker's time until thaw is called.
func (w *Worker) Freeze() (thaw func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.c
	if !c.running() {
		return func() {}
	}
	_ = c.process.Signal(syscall.SIGSTOP)
	return func() {
		if c.running() {
			_ = c.process.Signal(syscall.SIGCONT)
		}
	}
}

// Stop asks the worker to end, and kills it when it takes too long. It reports whether it had to.
func (w *Worker) Stop(limit time.Duration) (killed bool) {
	w.mu.Lock()
	c := w.c
	w.asked = true
	w.mu.Unlock()
	return c.stop(func() error { return c.process.Signal(os.Interrupt) }, limit)
}

// Health is where the worker serves /metrics, /healthz and /readyz.
func (w *Worker) Health() string { return "http://" + w.health }

// Healthy asks the worker whether it works.
func (w *Worker) Healthy() error {
	resp, err := http.Get(w.Health() + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func (w *Worker) ended() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.c.ended
}

func (r *Rig) startWorkers(ctx context.Context) error {
	r.stops = append(r.stops, r.deleteSchedule)
	for _, w := range r.Workers {
		if err := w.Start(); err != nil {
			return err
		}
		r.stops = append(r.stops, func() error { w.Stop(10 * time.Second); return nil })
	}
	for _, w := range r.Workers {
		if err := waitFor(ctx, w.ended(), time.Minute, w.Healthy); err != nil {
			return fmt.Errorf("monitor-worker: %w\n%s", err, r.WorkerLog())
		}
	}
	return nil
}
