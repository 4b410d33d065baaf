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
)

func main() {
	// A terminal or a pipe that closes ends it as Ctrl-C does, so that nothing is left behind then either.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	root := &cobra.Command{
		Use:           "monitor-testbed",
		Short:         "A small PlanetLab to try Monitor on",
		Long:          "A small PlanetLab to try Monitor on: a dozen sites, forty nodes that really listen, their power control units,\na PLCAPI and a mailbox, all on loopback addresses and gone when it ends.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(demoCommand(), smokeCommand(), benchCommand(), worldCommand(), pcuCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "monitor-testbed:", err)
		os.Exit(1)
	}
}
