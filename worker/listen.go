package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/planetlab/monitor/listen"
)

// mostConnections may be open at once to one of the worker's ports for machines.
const mostConnections = 200

// serve serves the pages until the server is closed. What is wrong with the port, or with a connection for good, goes
// to failed.
func serve(ctx context.Context, web *http.Server, setting, at string, failed chan<- error) error {
	l, err := listen.At(ctx, at)
	if err != nil {
		return fmt.Errorf("%s: %w", setting, err)
	}
	go func() {
		if err := listen.Serve(l, web, mostConnections); err != nil {
			failed <- fmt.Errorf("%s: %w", setting, err)
		}
	}()
	return nil
}
