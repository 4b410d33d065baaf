package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/listen"
	"github.com/planetlab/monitor/metrics"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
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
	serveAPI(mux, cfg, db, news, tc, log)
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
	web := listen.Server(mux, tls, log)
	defer web.Close()
	if cfg.HTTP.Listen != "" {
		if err := serve(ctx, web, "http.listen", cfg.HTTP.Listen, failed); err != nil {
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
		if err := servePages(watching, cfg, db, news, tc, log, failed); err != nil {
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

// newActivities opens what the configuration names, and makes the activities of it.
func newActivities(cfg *config.Config, log *slog.Logger, db *store.Store, tc client.Client, tracker *rt.Client,
	hook *notify.Hook, every time.Duration, counted *metrics.Counted) (*activities.Groups, error) {
	fleet, err := connect.Inventory(cfg, db)
	if err != nil {
		return nil, err
	}
	if api, is := fleet.(*plc.Client); is {
		api.Observe(counted.Of(metrics.PLC))
	}
	keys, err := connect.SSHKeys(cfg.Probe)
	if err != nil {
		return nil, err
	}
	boot, err := bootman.New()
	if err != nil {
		return nil, err
	}
	mail, err := newSender(cfg, counted)
	if err != nil {
		return nil, err
	}
	pcus, err := connect.PCUs(cfg.PCU)
	if err != nil {
		return nil, err
	}
	reach, err := activities.NewReach(cfg.PCU.Networks)
	if err != nil {
		return nil, err
	}
	link, err := linkTo(cfg)
	if err != nil {
		return nil, err
	}
	return activities.New(activities.Options{
		Store:    db,
		Temporal: tc,
		Policy:   cfg.Policy.InRealTime(),
		Mode:     cfg.MailMode(),
		Log:      log,

		Inventory:  fleet,
		NoPLC:      connect.NoPLC(cfg.Inventory),
		Cache:      connect.Cache(cfg),
		Prober:     newProber(cfg.Probe, keys, activities.HostKeys{Store: db, Inventory: fleet, From: connect.From(cfg)}),
		OpenPorts:  cfg.Probe.OpenPorts,
		BatchSize:  cfg.Probe.Batch,
		SweepEvery: every,
		Sources: activities.Sources{List: connect.Sources(cfg.Sources), Timeout: cfg.Sources.Timeout,
			Fresh: cfg.Sources.Fresh},
		Rules: activities.Rules{List: cfg.Rules, Groups: cfg.Groups},

		PCUs:       pcus,
		PCUTimeout: cfg.PCU.OperationTimeout,
		PCUConnect: cfg.PCU.ConnectTimeout,
		PCULegacy:  cfg.PCU.Legacy,
		PCUReach:   reach,
		PCUClear:   cfg.PCU.ClearText,
		PCUSaid:    counted.Of(metrics.PCU),

		Bootman: boot,
		Enter:   connect.Entrance(cfg.Probe, keys...),

		Mail:   mail,
		RT:     tracker,
		Hook:   hook,
		TestTo: cfg.Mail.TestAddress,
		Domain: notify.Domain(cfg.Mail.From),
		Admins: cfg.Mail.Admins,
		Pages:  cfg.Mail.Pages,
		Link:   link,
		Probes: cfg.Mail.ProbesFrom,
	}), nil
}

// newProber looks at nodes. A node may show a new host key where PLC says why.
func newProber(p config.Probe, keys []ssh.Signer, known activities.HostKeys) *probe.Prober {
	return probe.New(probe.Options{
		SSHUser:    p.SSHUser,
		SSHKeys:    keys,
		SSHPorts:   p.SSHPorts,
		Ports:      p.OpenPorts,
		Facts:      facts(p.Facts),
		BootServer: p.BootServer,
		PortMap:    p.PortMap,
		Timeout:    p.Timeout,
		Tries:      p.Tries,
		Parallel:   p.Parallel,
		Resolver:   p.Resolver,
		Ping:       p.Ping,
		HostKeys:   &probe.HostKeys{Believe: known.Check},
	})
}

// facts are those of the configuration, by name: a look asks for them in the same order each time.
func facts(commands map[string]string) (list []probe.Fact) {
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		list = append(list, probe.Fact{Name: name, Command: commands[name]})
	}
	return list
}

func newSender(cfg *config.Config, counted *metrics.Counted) (*notify.Sender, error) {
	tls, err := cfg.Mail.TLSConfig()
	if err != nil {
		return nil, err
	}
	return notify.NewSender(notify.Options{
		Addr:        cfg.Mail.SMTP,
		From:        cfg.Mail.From,
		ReplyTo:     cfg.Mail.ReplyTo,
		Username:    cfg.Mail.Username,
		Password:    cfg.Mail.Password.Reveal(),
		TLS:         cfg.Mail.TLS,
		TLSConfig:   tls,
		Mode:        cfg.MailMode(),
		TestAddress: cfg.Mail.TestAddress,
		Timeout:     cfg.Mail.Timeout,
		Observe:     counted.Of(metrics.SMTP),
	})
}

// channels opens what else people are told through. In observe mode nothing leaves, and so there is no webhook.
func channels(cfg *config.Config, log *slog.Logger, counted *metrics.Counted) (*rt.Client, *notify.Hook, error) {
	var tracker *rt.Client
	var hook *notify.Hook
	if c := cfg.RT; c.URL != "" {
		tls, err := c.TLSConfig()
		if err != nil {
			return nil, nil, err
		}
		if tracker, err = rt.New(rt.Options{URL: c.URL, Token: c.Token.Reveal(), Queue: c.Queue, Timeout: c.Timeout,
			Transport: counted.Transport(metrics.RT, rt.Transport(tls))}); err != nil {
			return nil, nil, err
		}
	}
	if c := cfg.Webhook; c.URL != "" && cfg.Mode != config.ModeObserve {
		var err error
		if hook, err = notify.NewHook(notify.HookOptions{URL: c.URL.Reveal(), Key: c.Key.Reveal(), Timeout: c.Timeout,
			Log: log}); err != nil {
			return nil, nil, err
		}
	}
	return tracker, hook, nil
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

// ensureSearchAttributes creates those that the namespace lacks; several workers may do so at once.
func ensureSearchAttributes(ctx context.Context, tc client.Client, namespace string) error {
	want := map[string]enums.IndexedValueType{}
	for _, k := range workflows.Attributes() {
		want[k.GetName()] = k.GetValueType()
	}
	have, err := tc.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("search attributes: %w", err)
	}
	for name, kind := range have.CustomAttributes {
		if want[name] != 0 && want[name] != kind {
			return fmt.Errorf(
				"search attribute %s exists as %s and must be %s: remove it with `temporal operator "+
					"search-attribute remove --name %s`", name, kind, want[name], name)
		}
		delete(want, name)
	}
	if len(want) == 0 {
		return nil
	}
	if _, err := tc.OperatorService().AddSearchAttributes(ctx,
		&operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: want}); err != nil {
		return fmt.Errorf("search attributes: %w", err)
	}
	return nil
}

// keepSchedule brings back what a namespace must have, when it has lost its schedule: nobody restarts the workers
// because Temporal came back without its data, and without a sweep nothing would ever open again what was lost with it.
func keepSchedule(ctx context.Context, tc client.Client, every time.Duration, log *slog.Logger, ensure func() error) {
	tick := time.NewTicker(min(every, time.Minute))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := tc.ScheduleClient().GetHandle(ctx, activities.SweepType).Describe(ctx)
		var none *serviceerror.NotFound
		if !errors.As(err, &none) {
			continue
		}
		if err := ensure(); err != nil {
			log.Warn("Temporal has lost the schedule of the sweep, and does not take it back yet", "error", err)
			continue
		}
		log.Warn("Temporal had lost the schedule of the sweep: its data are gone, or somebody deleted it; to stop " +
			"sweeps, pause the schedule")
	}
}

// ensureSchedule creates the sweep's schedule, or brings its interval up to date. A schedule that somebody paused stays
// so.
func ensureSchedule(ctx context.Context, tc client.Client, every, jitter time.Duration) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every}}, Jitter: jitter}
	_, err := tc.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: activities.SweepType, Spec: spec, Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: max(every, 10*time.Second),
		Action: &client.ScheduleWorkflowAction{ID: activities.SweepType, Workflow: activities.SweepType,
			TaskQueue: activities.TaskQueue, StaticSummary: "look at the whole fleet"},
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	return tc.ScheduleClient().GetHandle(ctx, activities.SweepType).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			s := in.Description.Schedule
			s.Spec = &spec
			return &client.ScheduleUpdate{Schedule: &s}, nil
		},
	})
}
