package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/rig"
)

func demoCommand() *cobra.Command {
	var day, length time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run Monitor on the testbed and tell what happens, until Ctrl-C",
		Args:  cobra.NoArgs,
		Example: `  monitor-testbed demo
  monitor-testbed demo --day 10s --for 5m`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if day <= 0 || length < 0 {
				return errors.New("--day must be above zero, and --for must not be negative")
			}
			if length > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, length)
				defer cancel()
			}
			return demo(ctx, cmd.OutOrStdout(), day)
		},
	}
	cmd.Flags().DurationVar(&day, "day", 3*time.Second, "how long a policy day lasts")
	cmd.Flags().DurationVar(&length, "for", 0, "end after this long; 0 goes on until Ctrl-C")
	return cmd
}

func demo(ctx context.Context, out io.Writer, day time.Duration) (err error) {
	r, err := rig.Start(ctx, rig.Options{Day: day, UIPort: prefer(8233), Pages: fmt.Sprintf("127.0.0.1:%d", free(8081)), Log: out,
		Policy: map[string]any{"boot_grace": "0.5d"}}) // a boot takes a third of a day in a testbed
	if err != nil {
		if ctx.Err() != nil {
			return nil // Ctrl-C while starting
		}
		return err
	}
	defer func() {
		fmt.Fprintln(out, "\nstopping, and removing every trace ...")
		if e := r.Close(); err == nil {
			err = e
		}
	}()
	page, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(prefer(8025)))
	if err != nil {
		return err
	}
	web := &http.Server{Handler: r.Mail.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	go func() { _ = web.Serve(page) }()
	defer web.Close()
	whereToLook(out, r, "http://"+page.Addr().String())
	played := make(chan error, 1)
	go func() { played <- playStory(ctx, r.World) }()
	over := false
	t := &teller{Rig: r, out: out, dayAt: r.World.DayAt, started: time.Now(), issues: map[string]string{}, told: map[string]time.Time{}}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-played:
			return err
		case <-tick.C:
			if !over && t.day(time.Now()) >= testbed.StoryEnds {
				over = true
				whatToTry(out, r)
			}
			if err := t.tell(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// playStory lets the demo's script happen, and then accidents without end.
func playStory(ctx context.Context, w *testbed.World) error {
	script, accident := testbed.Story(), testbed.Accidents(testbed.Fleet(), testbed.StoryEnds, 1)
	return w.Play(ctx, func() (testbed.Incident, bool) {
		if len(script) == 0 {
			return accident(), true
		}
		i := script[0]
		script = script[1:]
		return i, true
	})
}

// prefer gives a port that people know, if it is free, else any.
func prefer(port int) int {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return 0
	}
	_ = l.Close()
	return port
}

// free is prefer where the port must be known beforehand.
func free(port int) int {
	for n := port; n < port+100; n++ {
		if prefer(n) != 0 {
			return n
		}
	}
	return port
}

// program is how the command monitor is called from here.
func program() string {
	self, _ := os.Executable()
	monitor := filepath.Join(filepath.Dir(self), "monitor")
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, monitor); err == nil {
			monitor = rel
		}
	}
	return monitor
}

// whatToTry says that the story is over.
func whatToTry(out io.Writer, r *rig.Rig) {
	node := host("tokyo", 1)
	fmt.Fprintf(out, "\n%s From here on some node hangs every other day. Try:\n", color.New(color.Bold).Sprint("The story is over."))
	fmt.Fprintf(out, "         break and mend a node yourself: %s/nodes/%s\n", r.Pages, node)
	fmt.Fprintf(out, "         sign in there as %s, password %s, and give orders: reboot, pause, veto, stop\n", testbed.PLCUser, testbed.PLCPassword)
	for _, args := range []string{"explain " + node, "agenda", "query ledger"} {
		fmt.Fprintf(out, "         %s %s\n", program(), args)
	}
	fmt.Fprintf(out, "Ctrl-C ends it.\n\n")
}

func whereToLook(out io.Writer, r *rig.Rig, mailbox string) {
	monitor, bold := program(), color.New(color.Bold).Sprint
	ui := r.UI
	if ui == "" {
		ui = "your own, for the server at " + r.Address
	}
	fmt.Fprintf(out, "\n%s    %s\n         everybody may look, and break and mend nodes on their pages; to give orders sign in as %s, password %s\n", bold("pages"), r.Pages, testbed.PLCUser, testbed.PLCPassword)
	fmt.Fprintf(out, "%s %s\n%s  %s\n%s   %s/readyz  %s/metrics\n", bold("Temporal"), ui, bold("mailbox"), mailbox, bold("worker"), r.Workers[0].Health(), r.Workers[0].Health())
	fmt.Fprintf(out, "%s      export MONITOR_CONFIG=%s\n", bold("try"), r.Config)
	for _, args := range []string{"issue list", "issue show " + nodeDown(host("huji", 1)), "issue pause " + nodeDown(host("huji", 1)) + " --reason 'we know'", "site show huji", "node show " + host("upmc", 1)} {
		fmt.Fprintf(out, "         %s %s\n", monitor, args)
	}
	fmt.Fprintf(out, "         temporal workflow list --address %s\n", r.Address)
	fmt.Fprintf(out, "\nA policy day lasts %s. This is what happens; Ctrl-C ends it.\n\n", r.Day)
}

// teller tells what happened since it last looked, in the order of time.
type teller struct {
	*rig.Rig
	out     io.Writer
	dayAt   func(time.Time) float64 // which policy day of the world it was
	started time.Time
	seen    time.Time         // the ledger has been told up to here
	issues  map[string]string // status of each run of an issue, as told
	mails   int
	told    map[string]time.Time // when a line that may come again and again was told last
}

type line struct {
	at   time.Time
	what string
	text string
	hue  *color.Color
}

var (
	bad    = color.New(color.FgRed)
	acting = color.New(color.FgYellow)
	people = color.New(color.FgMagenta)
	fine   = color.New(color.FgGreen)
	plain  = color.New(color.FgCyan)
)

func (t *teller) tell(ctx context.Context) error {
	lines := append(t.world(), t.mail()...)
	issues, err := t.issuesChanged(ctx)
	if err != nil {
		return err
	}
	acts, err := t.ledger(ctx)
	if err != nil {
		return err
	}
	lines = append(append(lines, issues...), acts...)
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	for _, l := range lines {
		if t.again(l) {
			continue
		}
		if _, err := fmt.Fprintf(t.out, "%s  day %5.1f  %s %s\n", l.at.Local().Format("15:04:05 MST"), t.day(l.at), l.hue.Sprintf("%-9s", l.what), l.text); err != nil {
			return err
		}
	}
	return nil
}

// day is which policy day of the demo it was.
func (t *teller) day(at time.Time) float64 { return t.dayAt(at) - t.dayAt(t.started) }

// again reports whether a line is one that was told not long ago: what Monitor writes anew, or does not do, each time it
// looks.
func (t *teller) again(l line) bool {
	if l.what != "mail" && l.what != string(store.KindSkip) {
		return false
	}
	last := t.told[l.text]
	if !last.IsZero() && t.dayAt(l.at)-t.dayAt(last) < 20 {
		return true
	}
	t.told[l.text] = l.at
	return false
}

func (t *teller) world() []line {
	var lines []line
	for {
		select {
		case e := <-t.Events():
			if !e.Small { // what Monitor did is told by its ledger
				lines = append(lines, line{e.At, "world", e.Text, plain})
			}
		default:
			return lines
		}
	}
}

func (t *teller) mail() []line {
	all := t.Mail.Messages()
	var lines []line
	for _, m := range all[min(t.mails, len(all)):] {
		lines = append(lines, line{m.At, "mail", strings.Join(m.To, ", ") + ": " + m.Subject, people})
	}
	t.mails = len(all)
	return lines
}

func (t *teller) issuesChanged(ctx context.Context) ([]line, error) {
	list, err := t.Store.Issues(ctx, store.IssueFilter{Limit: 1000})
	if err != nil {
		return nil, err
	}
	var lines []line
	for _, i := range list {
		key := i.ID + i.RunID
		was := t.issues[key]
		if i.Status == was {
			continue
		}
		t.issues[key] = i.Status
		if was == "" {
			lines = append(lines, line{i.Opened, "open", i.ID + ": " + i.Cause, bad})
		}
		switch {
		case i.Status == "closed":
			lines = append(lines, line{i.Closed, "closed", i.ID + ": " + i.Outcome, fine})
		case was != "":
			lines = append(lines, line{time.Now(), i.Status, i.ID + ": " + i.Next, acting})
		}
	}
	return lines, nil
}

func (t *teller) ledger(ctx context.Context) ([]line, error) {
	list, err := t.Store.Actions(ctx, store.ActionFilter{Since: t.started.Add(-time.Minute), Limit: 200})
	if err != nil {
		return nil, err
	}
	var lines []line
	newest := t.seen
	for _, a := range list {
		if a.Outcome == "" || !a.Finished.After(t.seen) || a.Kind == "notice" || a.Kind == "guard" { // mail speaks for itself
			continue
		}
		if a.Finished.After(newest) {
			newest = a.Finished
		}
		hue := acting
		if a.Kind == "penalty" {
			hue = people
		}
		text := cmp.Or(a.Node, a.Site, a.Issue) + ": " + a.Outcome
		if detail := cmp.Or(a.Detail, a.Reason); detail != "" {
			text += ", " + detail
		}
		if a.Kind == "penalty" && a.Reason != "" {
			text = a.Site + ": " + a.Reason
		}
		lines = append(lines, line{a.Finished, string(a.Kind), text, hue})
	}
	t.seen = newest
	return lines, nil
}
