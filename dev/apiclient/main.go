//go:build apiclient

// Apiclient drives a whole issue over the API, from opening to close, with a client that oapi-codegen makes of the API's
// document: what programs of others would do. The client is made anew where this is built (go generate), and not kept.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

//go:generate go tool oapi-codegen -generate types,client -package main -o client_gen.go ../../api/testdata/openapi.json

func main() {
	server := flag.String("server", "", "`URL` of the worker")
	node := flag.String("node", "", "`host` to open an issue about")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := drive(ctx, *server, os.Getenv("MONITOR_TOKEN"), *node); err != nil {
		fmt.Fprintln(os.Stderr, "apiclient:", err)
		os.Exit(1)
	}
}

// driver holds the client, and the issue that it drives.
type driver struct {
	*ClientWithResponses
	target string
}

const kind = "nodedown"

func drive(ctx context.Context, server, token, node string) error {
	client, err := NewClientWithResponses(strings.TrimSuffix(server, "/"),
		WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	if err != nil {
		return err
	}
	d := driver{client, node}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"read who I am", d.self}, {"open the issue", d.open}, {"see it open", d.seeOpen}, {"pause it", d.pause},
		{"be refused in view of what is no longer so", d.stale}, {"resume it", d.resume}, {"veto a step", d.veto},
		{"close it", d.close}, {"see it closed", d.seeClosed}, {"read the ledger", d.ledger},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Println(step.name)
	}
	return nil
}

// refused is the problem of an answer that is not the one awaited.
func refused(status int, problem *ErrorModel, body []byte) error {
	if problem != nil && problem.Detail != nil {
		return fmt.Errorf("%d: %s", status, *problem.Detail)
	}
	return fmt.Errorf("%d: %s", status, body)
}

func text(s string) *string { return &s }

func (d driver) self(ctx context.Context) error {
	r, err := d.GetSelfWithResponse(ctx)
	if err != nil {
		return err
	}
	if r.JSON200 == nil || r.JSON200.Role != "operator" {
		return refused(r.StatusCode(), nil, r.Body)
	}
	return nil
}

func (d driver) open(ctx context.Context) error {
	r, err := d.OpenIssueWithResponse(ctx, &OpenIssueParams{IdempotencyKey: text("open")}, OpenIssueRequest{
		Type: kind, Target: d.target, Reason: text("it rattles"),
	})
	if err != nil {
		return err
	}
	if r.StatusCode() != http.StatusCreated && r.StatusCode() != http.StatusOK {
		return refused(r.StatusCode(), nil, r.Body)
	}
	return nil
}

// look reads the issue until it is in a state.
func (d driver) look(ctx context.Context, status string) (tag string, err error) {
	for {
		r, err := d.GetIssueWithResponse(ctx, kind, d.target)
		if err != nil {
			return "", err
		}
		if r.JSON200 == nil {
			return "", refused(r.StatusCode(), nil, r.Body)
		}
		if v := *r.JSON200; v.Status == status && v.Story != nil && len(*v.Story) > 0 {
			return r.HTTPResponse.Header.Get("ETag"), nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("it is %s, not %s", r.JSON200.Status, status)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d driver) seeOpen(ctx context.Context) error {
	_, err := d.look(ctx, "open")
	return err
}

func (d driver) pause(ctx context.Context) error {
	until := time.Now().Add(time.Hour)
	r, err := d.PauseIssueWithResponse(ctx, kind, d.target, &PauseIssueParams{}, IssueOrderBody{
		Reason: text("a new disk is ordered"), Until: &until,
	})
	if err != nil {
		return err
	}
	if r.JSON200 == nil || r.JSON200.Issue == nil || r.JSON200.Issue.Status != "paused" {
		return refused(r.StatusCode(), nil, r.Body)
	}
	return nil
}

func (d driver) stale(ctx context.Context) error {
	tag, err := d.look(ctx, "paused")
	if err != nil {
		return err
	}
	old := `"` + strings.Repeat("0", 32) + `"`
	r, err := d.ResumeIssueWithResponse(ctx, kind, d.target, &ResumeIssueParams{IfMatch: &old}, IssueOrderBody{})
	if err != nil {
		return err
	}
	if r.StatusCode() != http.StatusPreconditionFailed || tag == "" {
		return refused(r.StatusCode(), nil, r.Body)
	}
	return nil
}

func (d driver) resume(ctx context.Context) error {
	tag, err := d.look(ctx, "paused")
	if err != nil {
		return err
	}
	r, err := d.ResumeIssueWithResponse(ctx, kind, d.target, &ResumeIssueParams{IfMatch: &tag}, IssueOrderBody{
		Reason: text("the disk is in"),
	})
	if err != nil {
		return err
	}
	if r.JSON200 == nil || r.JSON200.Issue == nil || r.JSON200.Issue.Status != "open" {
		return refused(r.StatusCode(), nil, r.Body)
	}
	return nil
}

func (d driver) veto(ctx context.Context) error {
	step := int64(2)
	r, err := d.VetoIssueWithResponse(ctx, kind, d.target, &VetoIssueParams{}, IssueOrderBody{
		Step: &step, Reason: text("its disk has data"),
	})
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return refused(r.StatusCode(), nil, r.Body)
	}
	return nil
}

func (d driver) close(ctx context.Context) error {
	for range 2 { // sent twice, as after a lost answer
		r, err := d.CloseIssueWithResponse(ctx, kind, d.target, &CloseIssueParams{IdempotencyKey: text("close")},
			IssueOrderBody{Reason: text("mended")})
		if err != nil {
			return err
		}
		if r.JSON200 == nil {
			return refused(r.StatusCode(), nil, r.Body)
		}
	}
	return nil
}

func (d driver) seeClosed(ctx context.Context) error {
	_, err := d.look(ctx, "closed")
	return err
}

// ledger reads it page by page.
func (d driver) ledger(ctx context.Context) error {
	filter, limit := "kind=order,issue="+kind+"/"+d.target, int64(2)
	params := &ListLedgerParams{Filter: &filter, Limit: &limit}
	count := 0
	for {
		r, err := d.ListLedgerWithResponse(ctx, params)
		if err != nil {
			return err
		}
		if r.JSON200 == nil || r.JSON200.Items == nil {
			return refused(r.StatusCode(), nil, r.Body)
		}
		count += len(*r.JSON200.Items)
		if params.Cursor = r.JSON200.Next; params.Cursor == nil {
			break
		}
	}
	if count != 5 { // open, pause, resume, veto, close
		return fmt.Errorf("it has %d orders", count)
	}
	return nil
}
