package main

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/listen"
	"github.com/planetlab/monitor/metrics"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web"
	"github.com/planetlab/monitor/workflows"
)

// run serves until the context ends, then lets running activities finish.
func run(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	registry, sdkMetrics, err := newMetrics()
	if err != nil {
		return err
	}
	counted := metrics.NewCounted(registry)
	every := max(time.Second, cfg.Policy.RealTime(cfg.Sweep.Every)) // schedules know no less than a second
	well, failed := &health{every: every, started: time.Now()}, make(chan error, 3)
	if cfg.Metrics.Listen != "" { // before all else: it also says what the worker waits for
		own := listen.Server(well.pages(registry), nil, log)
		defer own.Close()
		if err := serve(ctx, own, "metrics.listen", cfg.Metrics.Listen, failed); err != nil {
			return err
		}
	}
	db, err := patiently(ctx, log, "postgres", betweenTries, func() (*store.Store, error) {
		return connect.Store(ctx, cfg)
	})
	if err != nil {
		return err
	}
	defer db.Close()
	well.db.Store(db)
	registry.MustRegister(&metrics.Stored{Store: db, Policy: cfg.Policy.InRealTime(), Mode: policy.Mode(cfg.Mode),
		Every: every, Log: log})
	tc, err := patiently(ctx, log, "temporal", betweenTries, func() (client.Client, error) {
		return connect.Temporal(ctx, cfg.Temporal, log, sdkMetrics)
	})
	if err != nil {
		return err
	}
	defer tc.Close()
	well.tc.Store(&tc)
	tracker, hook, err := channels(cfg, log, counted)
	if err != nil {
		return err
	}
	acts, err := newActivities(cfg, log, db, tc, tracker, hook, every, counted)
	if err != nil {
		return err
	}
	ensure := func() error {
		err := ensureSearchAttributes(ctx, tc, cfg.Temporal.Namespace)
		if err == nil {
			err = ensureSchedule(ctx, tc, acts.Sweep.SweepEvery, cfg.Policy.RealTime(cfg.Sweep.Jitter))
		}
		return err
	}
	if _, err = patiently(ctx, log, "temporal", betweenTries, func() (struct{}, error) {
		return struct{}{}, ensure()
	}); err != nil {
		return err
	}
	mux := pages()
	if err := receiveAlerts(mux, counted, cfg.Alerts, acts.Alerts.Take, log); err != nil {
		return err
	}
	if cfg.HTTP.BootLogs {
		if err := receiveBootLogs(mux, db, cfg.HTTP.BehindProxy, log); err != nil {
			return err
		}
	}
	news := store.NewsOf(db, log)
	go news.Run(ctx)
	runs := web.OpenRuns(cfg, db, log)
	defer runs.Close()
	defer context.AfterFunc(ctx, runs.Close)() // not only once all activities have ended
	if err := serveAPI(mux, cfg, db, news, tc, runs, log); err != nil {
		return err
	}
	// activities may tell it something until the workers have stopped
	whileWorking, stopped := context.WithCancel(context.WithoutCancel(ctx))
	defer stopped()
	go hook.Run(whileWorking)
	go activities.WatchSweeps(ctx, acts.Sweep)
	go prune(ctx, db, retention(cfg), log)
	go keepSchedule(ctx, tc, acts.Sweep.SweepEvery, log, ensure)
	tls, err := cfg.HTTP.TLSConfig()
	if err != nil {
		return err
	}
	machines := listen.Server(mux, tls, log)
	defer machines.Close()
	if cfg.HTTP.Listen != "" {
		if err := serve(ctx, machines, "http.listen", cfg.HTTP.Listen, failed); err != nil {
			return err
		}
	}
	if _, err := patiently(ctx, log, "postgres", betweenTries, func() (struct{}, error) {
		err := db.SayConfigured(ctx, policy.Mode(cfg.Mode), cfg.HTTP.Listen)
		for server, unused := range map[string]bool{store.ServerTracker: tracker == nil, store.ServerMail: cfg.Mode == config.ModeObserve} {
			if err == nil && unused { // nobody would see it come back
				err = db.SayBack(ctx, server)
			}
		}
		return struct{}{}, err
	}); err != nil {
		return err
	}
	watching, stopPages := context.WithCancel(ctx)
	defer stopPages()
	if cfg.Web.Listen != "" {
		if err := servePages(watching, cfg, db, news, tc, runs, log, failed); err != nil {
			return err
		}
	}
	tracers, endTraces, err := openTracing(ctx, cfg.Tracing)
	if err != nil {
		return err
	}
	defer endTraces()
	workers := newWorkers(tc, acts, append(tracers, counted, &activities.Bounded{}))
	for _, w := range workers {
		if err := w.Start(); err != nil {
			return err
		}
	}
	log.Info("watching", "temporal", cfg.Temporal.Address, "namespace", cfg.Temporal.Namespace, "http", cfg.HTTP.Listen,
		"mode", string(cfg.Mode), "mail", cfg.MailMode())
	select {
	case <-ctx.Done():
		log.Info("stopping: running activities may finish")
	case err = <-failed:
	}
	for _, w := range workers {
		w.Stop()
	}
	return err
}

func newWorkers(tc client.Client, acts *activities.Groups, bounds []interceptor.WorkerInterceptor) []worker.Worker {
	worker.SetStickyWorkflowCacheSize(1000)
	people := worker.New(tc, activities.TaskQueue, worker.Options{
		WorkerStopTimeout: 30 * time.Second, DisableRegistrationAliasing: true, Interceptors: bounds,
	})
	for _, w := range workflows.Types() {
		people.RegisterWorkflowWithOptions(w.Func,
			workflow.RegisterOptions{Name: w.Name, VersioningBehavior: workflow.VersioningBehaviorAutoUpgrade})
	}
	for _, group := range acts.Registered() {
		people.RegisterActivity(group)
	}
	// Machines have a queue of their own with a brake, so that no flood of issues becomes a flood of power commands.
	machines := worker.New(tc, activities.MachineTaskQueue, worker.Options{
		WorkerStopTimeout: 2 * time.Minute, DisableWorkflowWorker: true, TaskQueueActivitiesPerSecond: 5,
		MaxConcurrentActivityExecutionSize: 50, Interceptors: bounds,
	})
	machines.RegisterActivityWithOptions(acts.Power.Reboot, activity.RegisterOptions{Name: string(issue.Reboot)})
	machines.RegisterActivityWithOptions(acts.Power.Reinstall, activity.RegisterOptions{Name: string(issue.Reinstall)})
	machines.RegisterActivityWithOptions(acts.Boot.Bootman, activity.RegisterOptions{Name: string(issue.Bootman)})
	machines.RegisterActivityWithOptions(acts.Requests.TryRequest, activity.RegisterOptions{Name: "TryRequest"})
	machines.RegisterActivityWithOptions(acts.Requests.OperateOutlet, activity.RegisterOptions{Name: "OperateOutlet"})
	return []worker.Worker{people, machines}
}
