package activities

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol/models"

	"go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"golang.org/x/crypto/ssh"

	"github.com/jackc/pgx/v5"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/pglocal"
)

// bench is the activities on a small world: real Postgres, nodes that listen, PCUs that switch, PLC and a mailbox. Only
// Temporal is a fake, which notes what it is asked.
type bench struct {
	*testing.T
	*Groups
	*ledger
	w   *testbed.World
	tc  *fakeTemporal
	url string // of Postgres
	fed string // by which PCU the sick node is; empty: pcu
}

// fakeTemporal notes what is started, signalled and asked.
type fakeTemporal struct {
	client.Client
	started []string // "<id> <cause>"
	signals []string // "<id> <name>"
	updates []any
	gone    []string     // workflows that were terminated
	away    error        // what a signal is answered; nil: it is taken
	beat    func() error // what a heartbeat is answered; nil: go on
	asked   func()       // what happens while somebody asks whether a workflow runs
	runs    [][2]string  // workflows that run: type and id
}

func (f *fakeTemporal) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (
	*workflowservice.ListWorkflowExecutionsResponse, error) {
	res := &workflowservice.ListWorkflowExecutionsResponse{}
	for _, r := range f.runs {
		res.Executions = append(res.Executions, &workflow.WorkflowExecutionInfo{Type: &common.WorkflowType{Name: r[0]},
			Execution: &common.WorkflowExecution{WorkflowId: r[1]}})
	}
	return res, nil
}

// RecordActivityHeartbeat answers as the server does: an activity that an order has cancelled hears it.
func (f *fakeTemporal) RecordActivityHeartbeat(context.Context, []byte, ...any) error {
	if f.beat == nil {
		return nil
	}
	return f.beat()
}

func (f *fakeTemporal) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any,
	args ...any) (client.WorkflowRun, error) {
	f.started = append(f.started, strings.TrimSpace(o.ID+" "+args[0].(issue.Input).Cause))
	return nil, nil
}

func (f *fakeTemporal) SignalWorkflow(_ context.Context, id, _, name string, _ any) error {
	if slices.Contains(f.gone, id) {
		return serviceerror.NewNotFound("workflow execution already completed")
	}
	if f.away != nil {
		return f.away
	}
	f.signals = append(f.signals, id+" "+name)
	return nil
}

func (f *fakeTemporal) DescribeWorkflowExecution(_ context.Context, id,
	_ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if f.asked != nil {
		f.asked()
	}
	status := enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	if slices.Contains(f.gone, id) {
		status = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflow.WorkflowExecutionInfo{Status: status},
	}, nil
}

func (f *fakeTemporal) NewWithStartWorkflowOperation(client.StartWorkflowOptions, any,
	...any) client.WithStartWorkflowOperation {
	return nil
}

func (f *fakeTemporal) UpdateWithStartWorkflow(_ context.Context,
	o client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	f.updates = append(f.updates, o.UpdateOptions.Args[0])
	return answered{}, nil
}

type answered struct{ client.WorkflowUpdateHandle }

func (answered) Get(context.Context, any) error { return nil }

const (
	site = "huji"
	sick = "planetlab1.huji.example"
	pcu  = "pcu.huji.example"
)

func newBench(t *testing.T, sites ...testbed.Site) *bench {
	t.Helper()
	return benchWith(t, nil, sites...)
}

// benchWith is a bench whose options are changed by whoever knows its world.
func benchWith(t *testing.T, change func(*testbed.World, *Options), sites ...testbed.Site) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short: it needs Postgres and a small PlanetLab; `make test` runs it")
	}
	t.Parallel() // they wait for machines most of the time
	if sites == nil {
		sites = []testbed.Site{{Login: site, Nodes: 2}}
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	w, err := testbed.Start(testbed.Options{Sites: sites, BootTime: 300 * time.Millisecond, Root: key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, w.PLCCA, 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := plc.New(plc.Options{URL: w.PLC, Username: testbed.PLCUser, Password: testbed.PLCPassword, CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	url := pglocal.ForTest(t)
	db, err := store.Open(t.Context(), store.Options{URL: url, Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	mail, err := notify.NewSender(notify.Options{Addr: w.Mail.Addr(), From: "monitor@plc.example", TLS: "none",
		Mode: "live", Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	pcus, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	boot, err := bootman.New()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, w: w, tc: &fakeTemporal{}, url: url}
	options := Options{
		Store: db, Inventory: api, Mail: mail, Temporal: b.tc, PCUs: pcus, Policy: policy.Defaults(24 * time.Hour),
		Log: slog.New(slog.DiscardHandler),
		Prober: probe.New(probe.Options{SSHKey: key, PortMap: testbed.PortMap(), Timeout: 600 * time.Millisecond,
			Tries: 1, Resolver: w.Resolver}),
		Bootman: boot,
		Enter: connect.Entrance(config.Probe{SSHUser: "root", SSHPorts: []int{22, 806}, PortMap: testbed.PortMap(),
			Timeout: 500 * time.Millisecond}, key),
		Domain: "plc.example", Admins: []string{"noc@plc.example"}, BatchSize: 100, PCUTimeout: 10 * time.Second,
		SweepEvery: 30 * time.Minute,
	}
	if change != nil {
		change(w, &options)
	}
	b.Groups = New(options)
	b.ledger = b.Power.ledger
	b.sync()
	b.sweepEnds(store.Sweep{Believed: true, Counts: map[string]int{"nodes": 100, "pcus": 100}})
	return b
}

// sweepEnds has a sweep begin and end so.
func (b *bench) sweepEnds(w store.Sweep) {
	b.Helper()
	begun, err := b.Store.StartSweep(b.Context(), fmt.Sprintf("sweep/%d", time.Now().UnixNano()))
	b.must(err)
	w.ID = begun.ID
	b.must(b.Store.EndSweep(b.Context(), w))
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// sync takes PLC over into the store.
func (b *bench) sync() {
	b.Helper()
	snap, err := b.Power.Inventory.Snapshot(b.Context())
	b.must(err)
	_, err = b.Store.SaveSnapshot(b.Context(), snap, true)
	b.must(err)
}

// was makes a node, PCU or site have been something for so many days.
func (b *bench) was(kind, target string, status policy.Status, days float64) {
	b.Helper()
	r := policy.Record{Status: status, Changed: time.Now().Add(-time.Duration(days * 24 * float64(time.Hour)))}
	b.must(b.Store.SaveChanges(b.Context(),
		[]store.Change{{Kind: kind, Target: target, Record: r, Reason: "as the test has it"}}, time.Now()))
}

// open puts an issue into the store, as if its workflow were running.
func (b *bench) open(id, typ, node string) {
	b.Helper()
	_, target, _ := strings.Cut(id, "/")
	putIssue(b.T, b.url, store.Issue{ID: id, RunID: "r", Type: typ, Target: target, Node: node,
		Site: site, PCUID: b.pcuID(), Status: "open", Opened: time.Now()})
}

func (b *bench) closed(id string) {
	b.Helper()
	i, err := b.Store.Issue(b.Context(), id)
	b.must(err)
	i.Status, i.Closed = "closed", time.Now()
	putIssue(b.T, b.url, i)
}

func (b *bench) pcuID() int {
	p, err := b.Store.PCUByName(b.Context(), cmp.Or(b.fed, pcu))
	b.must(err)
	return p.PCUID
}

// task asks for a rung about the sick node.
func (b *bench) task(typ, key string, rung issue.Rung) issue.Request {
	ref := Ref{ID: typ + "/" + sick, Run: "run", Type: typ, Node: sick, Site: site, PCU: cmp.Or(b.fed, pcu), PCUID: b.pcuID()}
	t, known := issue.Lookup(typ)
	if !known {
		b.Fatalf("no type %s", typ)
	}
	s := issue.Start(issue.Opening{Ref: ref, Cause: "as the test has it", Times: issue.TimesOf(b.Policy),
		Ladder: t.Ladder}, time.Now().Add(-72*time.Hour))
	s.Began()
	return issue.Request{State: s, Rung: rung, Key: ref.Episode() + "/" + key}
}

// lines lists "<kind> <outcome>" of an issue's actions, oldest first.
func (b *bench) lines(issue string) []string {
	b.Helper()
	list, err := b.Store.Actions(b.Context(), store.ActionFilter{Issue: issue})
	b.must(err)
	var out []string
	for _, a := range list {
		out = append(out, strings.TrimSpace(string(a.Kind)+" "+a.Outcome))
	}
	slices.Reverse(out)
	return out
}

func (b *bench) wantLedger(issue string, want ...string) {
	b.Helper()
	if got := b.lines(issue); !slices.Equal(got, want) {
		b.Errorf("the ledger of %s says %q, want %q", issue, got, want)
	}
}

func (b *bench) want(res issue.Result, err error, outcome issue.Outcome, says string) {
	b.Helper()
	if err != nil || res.Outcome != outcome || !strings.Contains(res.Reason, says) {
		b.Errorf("answered %+v, %v; want %s because of %q", res, err, outcome, says)
	}
}

func (b *bench) wantCuts(n int) {
	b.Helper()
	if got := b.w.PowerCuts(sick); got != n {
		b.Errorf("its power was cut %d times, want %d", got, n)
	}
}

// digested has the admins told of all that was flagged, without the wait for more.
func (b *bench) digested() {
	b.Helper()
	b.People.post.Policy.GroupWait = 0
	b.must(b.People.post.digest(b.Context()))
}

func (b *bench) subjects() []string {
	var out []string
	for _, m := range b.w.Mail.Messages() {
		out = append(out, m.Subject)
	}
	return out
}

// putIssue writes an episode into the store as it stands, without its memory and whatever was there before.
func putIssue(t testing.TB, url string, i store.Issue) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	orNull := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		return &at
	}
	_, err = conn.Exec(t.Context(), `insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level,
		opened, closed, next, next_at, outcome, cause)
		values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16)
		on conflict (id, run_id) do update set status=$8, rung=$9, level=$10, opened=$11, closed=$12, next=$13,
		next_at=$14, outcome=$15, cause=$16, site=$6, pcu=$7`,
		i.ID, i.RunID, i.Type, i.Target, i.Node, i.Site, i.PCUID, i.Status, i.Rung, i.Level, i.Opened,
		orNull(i.Closed), i.Next, orNull(i.NextAt), i.Outcome, i.Cause)
	if err != nil {
		t.Fatal(err)
	}
}
