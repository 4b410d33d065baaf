package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// ShortestDay is the shortest policy day that Temporal's schedules and timers keep up with.
const ShortestDay = 2500 * time.Millisecond

// SetDay changes how long a policy day lasts: at once in the world, and for Monitor as an operator would do it, by the
// configuration and a restart of the workers and the pages. What is open keeps the numbers with which it opened.
func (r *Rig) SetDay(ctx context.Context, day time.Duration) error {
	if day < ShortestDay {
		return fmt.Errorf("a policy day of %s is too short: it must last %s or more", day, ShortestDay)
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	if r.ends {
		return errors.New("it ends")
	}
	if err := r.configureDay(day); err != nil {
		return err
	}
	r.World.SetDay(day)
	for _, w := range r.Workers {
		w.Stop(30 * time.Second)
		if err := w.Start(); err != nil {
			return err
		}
	}
	for _, w := range r.Workers {
		if err := waitFor(ctx, w.ended(), time.Minute, w.Healthy); err != nil {
			return fmt.Errorf("monitor-worker: %w\n%s", err, r.WorkerLog())
		}
	}
	return r.servePagesAnew(ctx)
}

// configureDay writes the length into the configuration of every program.
func (r *Rig) configureDay(day time.Duration) error {
	text, err := os.ReadFile(r.Config)
	if err != nil {
		return err
	}
	var all section
	if err := yaml.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%s: %w", r.Config, err)
	}
	policy, is := all["policy"].(section)
	if !is {
		return fmt.Errorf("%s has no section policy", r.Config)
	}
	policy["day"] = day.String()
	if text, err = yaml.Marshal(all); err != nil {
		return err
	}
	if err := os.WriteFile(r.Config+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(r.Config+".new", r.Config)
}
