// Monitor-testbed runs a small PlanetLab and the whole product on it: the demo, the smoke test, the benches, and single
// simulated devices for any real client.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/version"
)

func main() {
	// A terminal that closes ends it as Ctrl-C does; a pipe that closes is an error of the next line written. Nothing is left behind then
	// either. SIGPIPE itself says nothing: any connection of the testbed's may break.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	root := &cobra.Command{
		Use:           "monitor-testbed",
		Short:         "A small PlanetLab to try Monitor on",
		Long:          "A small PlanetLab to try Monitor on: a dozen sites, forty nodes that really listen, their power control units,\na PLCAPI and a mailbox, all on loopback addresses and gone when it ends.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version.String(),
	}
	root.AddCommand(demoCommand(), smokeCommand(), chaosCommand(), benchCommand(), worldCommand(), pcuCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "monitor-testbed:", err)
		os.Exit(1)
	}
}
