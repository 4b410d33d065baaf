package metrics

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/version"
)

// The services that Monitor calls.
const (
	PLC  = "plc"
	RT   = "rt"
	SMTP = "smtp"
	PCU  = "pcu"
)

// Counted is what a worker counts while it runs. As an interceptor of the worker it sees each rung and each issue that
// ends.
type Counted struct {
	interceptor.WorkerInterceptorBase
	rungs, over, failures, alerts *prometheus.CounterVec
	repair, calls                 *prometheus.HistogramVec
	build                         *prometheus.GaugeVec
}

// Buckets: a step of a ladder is a day, people have weeks; a PLC call takes a tenth of a second, a PCU up to minutes.
var (
	repairBuckets = []float64{3600, 6 * 3600, 86400, 2 * 86400, 4 * 86400, 7 * 86400, 14 * 86400, 30 * 86400, 90 * 86400}
	callBuckets   = []float64{0.05, 0.2, 1, 3, 10, 30, 90, 180}
)

// NewCounted makes the counters, all at zero.
func NewCounted(r prometheus.Registerer) *Counted {
	counter := func(name string) *prometheus.CounterVec {
		s := named(name)
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: s.Name, Help: s.Help}, s.labelNames())
	}
	histogram := func(name string, buckets []float64) *prometheus.HistogramVec {
		s := named(name)
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: s.Name, Help: s.Help, Buckets: buckets},
			s.labelNames())
	}
	b := named(build)
	c := &Counted{rungs: counter(rungs), over: counter(over), failures: counter(failures), alerts: counter(received),
		repair: histogram(repair, repairBuckets), calls: histogram(calls, callBuckets),
		build: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: b.Name, Help: b.Help}, b.labelNames())}
	for _, rung := range rungNames() {
		for _, o := range outcomes() {
			c.rungs.WithLabelValues(rung, o)
		}
	}
	for _, e := range ends() {
		c.over.WithLabelValues(e)
	}
	for _, credit := range issue.Credits() {
		c.repair.WithLabelValues(string(credit))
	}
	for _, o := range named(received).Labels[0].Values {
		c.alerts.WithLabelValues(o)
	}
	for _, s := range services() {
		c.calls.WithLabelValues(s)
		for _, e := range errorsOf(s) {
			c.failures.WithLabelValues(s, e)
		}
	}
	v := version.Read()
	c.build.WithLabelValues(v.Version, v.Revision, v.Go).Set(1)
	r.MustRegister(c.rungs, c.over, c.failures, c.alerts, c.repair, c.calls, c.build)
	return c
}

// Alert counts alerts that came from Alertmanager.
func (c *Counted) Alert(outcome string, n int) { c.alerts.WithLabelValues(outcome).Add(float64(n)) }

// Call counts a call to a service that took so long and ended so.
func (c *Counted) Call(service string, took time.Duration, err error) {
	c.calls.WithLabelValues(service).Observe(took.Seconds())
	if err != nil && !errors.Is(err, context.Canceled) {
		c.failures.WithLabelValues(service, kindOf(service, err)).Inc()
	}
}

// Of is Call for one service, to be handed to its client.
func (c *Counted) Of(service string) func(time.Duration, error) {
	return func(took time.Duration, err error) { c.Call(service, took, err) }
}

func kindOf(service string, err error) string {
	kind := other
	switch service {
	case PCU:
		kind = string(pcucontrol.KindOf(err))
	case SMTP:
		kind = string(notify.FailureOf(err))
	case PLC:
		kind = "refused"
		if errors.Is(err, plc.ErrUnavailable) {
			kind = "unavailable"
		}
	case RT:
		kind = "unavailable"
		var status httpStatus
		if errors.As(err, &status) && status < http.StatusInternalServerError {
			kind = "refused"
		}
	}
	if kind == "" {
		return other
	}
	return kind
}

// httpStatus is an answer that says no.
type httpStatus int

func (s httpStatus) Error() string { return "HTTP " + strconv.Itoa(int(s)) }

// Transport counts the calls of an HTTP client of a service.
func (c *Counted) Transport(service string, next http.RoundTripper) http.RoundTripper {
	return counting{c, service, next}
}

type counting struct {
	by      *Counted
	service string
	next    http.RoundTripper
}

func (t counting) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := t.next.RoundTrip(req)
	said := err
	if err == nil && resp.StatusCode >= 400 {
		said = httpStatus(resp.StatusCode)
	}
	t.by.Call(t.service, time.Since(start), said)
	return resp, err
}

// InterceptActivity counts what activities answer.
func (c *Counted) InterceptActivity(_ context.Context,
	next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &countedActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, c}
}

type countedActivity struct {
	interceptor.ActivityInboundInterceptorBase
	by *Counted
}

// ExecuteActivity runs the activity, and counts a rung by what it answers and a closed issue by how it ended.
func (a *countedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	out, err := a.Next.ExecuteActivity(ctx, in)
	for _, arg := range in.Args {
		switch arg := arg.(type) {
		case issue.Request:
			if activity.GetInfo(ctx).ActivityType.Name == string(arg.Rung.Do) { // to settle a lost one is no rung
				a.by.rung(string(arg.Rung.Do), out, err)
			}
		case activities.CloseRequest:
			if res, is := out.(issue.Result); is && err == nil && res.Outcome == issue.Acted {
				a.by.ended(arg.State, time.Now())
			}
		}
	}
	return out, err
}

func (c *Counted) rung(name string, out any, err error) {
	outcome := "error"
	if res, is := out.(issue.Result); is && err == nil {
		outcome = string(res.Outcome)
	}
	c.rungs.WithLabelValues(name, outcome).Inc()
}

func (c *Counted) ended(s issue.State, now time.Time) {
	end := issue.EndRecovered
	if s.End != nil {
		end = s.End.Why
	}
	c.over.WithLabelValues(string(end)).Inc()
	if end == issue.EndRecovered {
		c.repair.WithLabelValues(string(s.Credit())).Observe(now.Sub(s.Opened).Seconds())
	}
}
