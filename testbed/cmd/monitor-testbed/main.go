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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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
