package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/rig"
)

func worldCommand() *cobra.Command {
	var dir string
	var told bool
	s := rig.Settings{Public: config.PublicFull}
	cmd := &cobra.Command{
		Use:   "world",
		Short: "Run the small PlanetLab alone, for a worker, a Temporal and a Postgres of your own",
		Long: "Run the small PlanetLab alone, and let things break there as in the demo. The configuration for monitor-worker and monitor, with its\n" +
			"secrets, is written to a folder; the worker must run on the same machine, or in the same network namespace, since the nodes listen on\n" +
			"loopback addresses.\n\n" +
			"With --stdin nothing breaks by itself, but what lines say: `hang HOST`, which a reboot mends, `hang HOST nobody`, which only `mend HOST`\n" +
			"does, or `hang HOST reinstall`.",
		Args:    cobra.NoArgs,
		Example: "  monitor-testbed world --dir world --database postgres://monitor@127.0.0.1/monitor --temporal 127.0.0.1:7233\n  monitor-worker --config world/monitor.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var script io.Reader
			if told {
				script = cmd.InOrStdin()
			}
			return world(cmd.Context(), cmd.OutOrStdout(), dir, s, script)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "world", "`folder` for the configuration; it is made if it is not there")
	f.StringVar(&s.Database, "database", os.Getenv("DATABASE_URL"), "`URL` of the worker's Postgres; DATABASE_URL names it too")
	f.StringVar(&s.Temporal, "temporal", "127.0.0.1:7233", "`host:port` of Temporal")
	f.StringVar(&s.SMTP, "smtp", "", "`host:port` of a mail server (default the testbed's own mailbox)")
	f.StringVar(&s.Listen, "listen", "127.0.0.1:8080", "`host:port` at which the worker serves machines: its API, alerts, boot logs")
	f.StringVar(&s.Pages, "pages", "127.0.0.1:8081", "`host:port` at which the worker serves pages; everybody may look at them")
	f.StringVar(&s.URL, "url", "", "`URL` by which people reach the pages, where --pages does not say it")
	f.StringVar(&s.UI, "temporal-ui", "", "`URL` of Temporal's Web UI, to which the pages link")
	f.BoolVar(&s.BehindProxy, "behind-proxy", false, "nobody but a proxy, or the port of a container, reaches these two")
	f.DurationVar(&s.Day, "day", 3*time.Second, "how long a policy day lasts")
	f.BoolVar(&told, "stdin", false, "break and mend what lines of the standard input say")
	return cmd
}

// world runs until the context ends. Without a script the demo's happens.
func world(ctx context.Context, out io.Writer, dir string, s rig.Settings, script io.Reader) error {
	if s.Database == "" {
		return errors.New("--database, or DATABASE_URL, must say where the worker's Postgres is")
	}
	if s.Day < 2500*time.Millisecond {
		return fmt.Errorf("--day %s is too short: Temporal's schedules and timers need a day of 2.5s or more", s.Day)
	}
	dir, err := filepath.Abs(dir) // the configuration names its files, and is read from anywhere
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := rig.SSHKey(dir)
	if err != nil {
		return err
	}
	w, err := testbed.Start(testbed.Options{Sites: testbed.Fleet(), BootTime: s.Day / 3, Root: root, SMTP: s.SMTP})
	if err != nil {
		return err
	}
	defer w.Close()
	if s.SMTP == "" {
		s.SMTP = w.Mail.Addr()
	}
	file, _, err := rig.Configure(dir, w, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "PLC is at %s, mail goes to %s, the configuration is %s\n", w.PLC, s.SMTP, file)
	if s.Pages != "" {
		fmt.Fprintf(out, "pages of the worker: %s; to give orders sign in as %s, password %s\n", cmp.Or(s.URL, "http://"+s.Pages),
			testbed.PLCUser, testbed.PLCPassword)
	}
	played := make(chan error, 1)
	if script != nil {
		go obey(w, script, out)
	} else {
		go func() { played <- playStory(ctx, w) }()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-played:
			return err
		case e := <-w.Events():
			fmt.Fprintf(out, "%s  %s\n", e.At.Local().Format("15:04:05 MST"), e.Text)
		}
	}
}

// obey breaks and mends what lines say.
func obey(w *testbed.World, script io.Reader, out io.Writer) {
	for lines := bufio.NewScanner(script); lines.Scan(); {
		if err := happens(w, strings.Fields(lines.Text())); err != nil {
			fmt.Fprintln(out, err)
		}
	}
}

func happens(w *testbed.World, words []string) error {
	switch {
	case len(words) == 0:
		return nil
	case words[0] == "mend" && len(words) == 2:
		return w.Heal(words[1])
	case words[0] == "hang" && len(words) == 2:
		return w.Break(words[1], testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot})
	case words[0] == "hang" && len(words) == 3 && slices.Contains([]string{testbed.Reboot, testbed.Reinstall, testbed.Nobody}, words[2]):
		return w.Break(words[1], testbed.Fault{State: fakenode.Hung, FixedBy: words[2]})
	}
	return fmt.Errorf("%q is neither hang HOST, hang HOST reboot|reinstall|nobody, nor mend HOST", strings.Join(words, " "))
}
