// Monitor-worker is the process that watches the fleet: it runs the workflows and activities, keeps the sweep's
// schedule, and serves its health and metrics.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/version"
)

// gcPercent is how much garbage a worker may leave, in percent of what it keeps. A sweep leaves much within seconds, and a small
// machine has less memory to spare for it than time.
const gcPercent = 60

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "monitor-worker:", err)
		os.Exit(1)
	}
}

// sections are the parts of the configuration that a worker cannot do without.
var sections = []string{"inventory", "database", "secrets", "temporal", "probe", "mail"}

func command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "monitor-worker",
		Short: "Watch a fleet of machines and work the issues of those that fail",
		Example: "  monitor-worker --config /etc/monitor/monitor.yaml\n  monitor-worker --config monitor.yaml " +
			"--check-config",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version.String(),
	}
	flags := config.AddFlags(cmd.Flags())
	ask := cmd.Flags().Bool("healthy", false, "ask the worker that runs here whether it is ready, and exit 0 if it is")
	migrate := cmd.Flags().Bool("migrate", false, "bring the tables up to date, with the account of database.url, and exit")
	man := cmd.Flags().Bool("man", false, "print the manual page")
	_ = cmd.Flags().MarkHidden("man") // for those who make packages
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *man {
			cmd.DisableAutoGenTag = true
			return doc.GenMan(cmd, &doc.GenManHeader{Title: "MONITOR-WORKER", Section: "1", Source: "Monitor",
				Manual: "Monitor"}, cmd.OutOrStdout())
		}
		o := config.Options{Flags: flags}
		if flags.Check {
			return config.Check(cmd.OutOrStdout(), o, sections...)
		}
		cfg, err := config.Load(o)
		if err != nil {
			return err
		}
		if *migrate {
			db, err := connect.Store(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			db.Close()
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the tables are up to date")
			return err
		}
		if *ask {
			return healthy(cmd.Context(), cfg.Metrics)
		}
		if err := cfg.Require(sections...); err != nil {
			return err
		}
		log := logger(cfg.Log)
		for _, warning := range append(cfg.Warnings, cfg.Risks()...) {
			log.Warn("configuration", "warning", warning)
		}
		return run(cmd.Context(), cfg, log)
	}
	return cmd
}

func logger(l config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo
	}
	return slog.New(cleanHandler(os.Stderr, l.Format, level))
}

// cleanHandler writes the log. What it repeats of machines far away is bounded, and nothing in it can drive the
// terminal of whoever reads it.
func cleanHandler(w io.Writer, format string, level slog.Level) slog.Handler {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch v := a.Value.Any().(type) {
		case string:
			a.Value = slog.StringValue(clean.Text(v))
		case error:
			a.Value = slog.StringValue(clean.Text(v.Error()))
		case fmt.Stringer:
			a.Value = slog.StringValue(clean.Text(v.String()))
		case []string:
			a.Value = slog.StringValue(clean.Text(strings.Join(v, ", ")))
		}
		return a
	}}
	if format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}
