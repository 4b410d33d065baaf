package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/listen"
	"github.com/planetlab/monitor/workflows"
)

// leastRetention is for how long a history should stay: the store keeps the stories, but not the details.
const leastRetention = 3 * 24 * time.Hour

func temporalAnswers(ctx context.Context, v *visit) Finding {
	tc, err := v.temporal(ctx)
	if err == nil {
		_, err = tc.WorkflowService().DescribeNamespace(ctx,
			&workflowservice.DescribeNamespaceRequest{Namespace: v.cfg.Temporal.Namespace})
	}
	var none *serviceerror.NamespaceNotFound
	switch {
	case errors.As(err, &none):
		return failed("make it: temporal operator namespace create --retention 7d --namespace "+v.cfg.Temporal.Namespace,
			"it has no namespace %s", v.cfg.Temporal.Namespace)
	case err != nil:
		return failed("start Temporal, and check temporal.address, its TLS settings and its API key", "%v", err)
	}
	return found("at %s, namespace %s", v.cfg.Temporal.Address, v.cfg.Temporal.Namespace)
}

const away = "Temporal does not answer"

func retention(ctx context.Context, v *visit) Finding {
	if v.tc == nil {
		return skipped(away)
	}
	d, err := v.tc.WorkflowService().DescribeNamespace(ctx,
		&workflowservice.DescribeNamespaceRequest{Namespace: v.cfg.Temporal.Namespace})
	if err != nil {
		return skipped("%v", err)
	}
	kept := d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
	if kept < leastRetention {
		return warning("temporal operator namespace update --retention 7d --namespace "+v.cfg.Temporal.Namespace,
			"it keeps what has ended for %s", kept)
	}
	return found("for %s", kept)
}

func attributes(ctx context.Context, v *visit) Finding {
	if v.tc == nil {
		return skipped(away)
	}
	have, err := v.tc.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: v.cfg.Temporal.Namespace})
	if err != nil {
		return skipped("Temporal does not say which there are: %v", err)
	}
	var missing, wrong []string
	for _, k := range workflows.Attributes() {
		switch kind, there := have.CustomAttributes[k.GetName()]; {
		case !there:
			missing = append(missing, k.GetName())
		case kind != k.GetValueType():
			wrong = append(wrong, fmt.Sprintf("%s is %s, not %s", k.GetName(), kind, k.GetValueType()))
		}
	}
	switch {
	case len(wrong) > 0:
		return failed("remove them: temporal operator search-attribute remove --name NAME", "%s", strings.Join(wrong, "; "))
	case len(missing) > 0:
		return warning("start monitor-worker: it makes them; on Temporal Cloud make them by hand (docs/operation.md)",
			"missing: %s", strings.Join(missing, ", "))
	}
	return found("all %d are there", len(workflows.Attributes()))
}

func schedule(ctx context.Context, v *visit) Finding {
	if v.tc == nil {
		return skipped(away)
	}
	d, err := v.tc.ScheduleClient().GetHandle(ctx, activities.SweepType).Describe(ctx)
	var none *serviceerror.NotFound
	switch {
	case errors.As(err, &none):
		return warning("start monitor-worker: it makes the schedule", "there is no schedule of sweeps")
	case err != nil:
		return failed("see temporal.answers", "%v", err)
	case d.Schedule.State != nil && d.Schedule.State.Paused:
		return warning("temporal schedule toggle --unpause --schedule-id sweep",
			"it is paused, so nothing is looked at, and nothing acts: %s", d.Schedule.State.Note)
	}
	next := "none is due"
	if times := d.Info.NextActionTimes; len(times) > 0 {
		next = "the next one is due at " + times[0].UTC().Format(time.RFC3339)
	}
	return found("%s", next)
}

func pollers(ctx context.Context, v *visit) Finding {
	if v.tc == nil {
		return skipped(away)
	}
	var idle []string
	var who []string
	for _, q := range []struct {
		name string
		kind enums.TaskQueueType
	}{{activities.TaskQueue, enums.TASK_QUEUE_TYPE_WORKFLOW}, {activities.TaskQueue, enums.TASK_QUEUE_TYPE_ACTIVITY},
		{activities.MachineTaskQueue, enums.TASK_QUEUE_TYPE_ACTIVITY}} {
		d, err := v.tc.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
			Namespace: v.cfg.Temporal.Namespace, TaskQueue: &taskqueue.TaskQueue{Name: q.name}, TaskQueueType: q.kind})
		if err != nil {
			return failed("see temporal.answers", "%v", err)
		}
		if len(d.Pollers) == 0 {
			idle = append(idle, fmt.Sprintf("%s (%s)", q.name, strings.ToLower(q.kind.String())))
		}
		for _, p := range d.Pollers {
			who = append(who, p.Identity)
		}
	}
	if len(idle) > 0 {
		return warning("start monitor-worker (systemctl start monitor-worker)", "nobody takes tasks of %s",
			strings.Join(idle, ", "))
	}
	slices.Sort(who)
	return found("%s", strings.Join(slices.Compact(who), ", "))
}

// local is where a listener of this machine is reached.
func local(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// load gets a page of this machine's worker. Its certificate is for others, who know it by name.
func load(ctx context.Context, url string) (code int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return resp.StatusCode, string(body), err
}

func workerReady(ctx context.Context, v *visit) Finding {
	at, err := local(v.cfg.Metrics.Listen)
	if err != nil {
		return skipped("metrics.listen is not set")
	}
	code, text, err := load(ctx, "http://"+at+"/readyz")
	if err != nil {
		return skipped("none answers at %s", v.cfg.Metrics.Listen)
	}
	said := strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	if code != http.StatusOK {
		return warning("see docs/troubleshooting.md", "it is not: %s", said)
	}
	return found("%s", said)
}

func pages(ctx context.Context, v *visit) Finding {
	if path, is := listen.Socket(v.cfg.Web.Listen); is {
		return socket(ctx, path)
	}
	at, err := local(v.cfg.Web.Listen)
	if err != nil {
		return skipped("web.listen is not set: there are none")
	}
	url := "http://" + at + "/"
	if v.cfg.HTTP.TLSCertFile != "" {
		url = "https://" + at + "/"
	}
	code, text, err := load(ctx, url)
	if err != nil {
		return skipped("none answers at %s", v.cfg.Web.Listen)
	}
	if code != http.StatusOK || !strings.Contains(text, "<html") {
		return warning("see the worker's log, and which program listens at web.listen", "%s answers %d", url, code)
	}
	return found("at %s", url)
}

// socket looks whether somebody takes connections where a proxy finds the pages.
func socket(ctx context.Context, path string) Finding {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return skipped("none answers at %s: %v", path, err)
	}
	_ = conn.Close()
	return found("at %s, for a proxy", path)
}
