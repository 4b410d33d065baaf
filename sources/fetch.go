package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/planetlab/monitor/clean"
)

// fetch reads what is at a URL, up to a size. No error holds the URL. A redirection is not followed: it would carry the
// token elsewhere.
func fetch(ctx context.Context, address, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("its URL cannot be used")
	}
	req.Header.Set("User-Agent", "PlanetLab Monitor")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if ctx.Err() != nil {
		return nil, errors.New("it did not answer in time")
	}
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text holds the URL
			err = u.Err
		}
		return nil, fmt.Errorf("it cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostText+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %d: %s", resp.StatusCode, clean.Line(string(text[:min(len(text), 1000)])))
	case ctx.Err() != nil:
		return nil, errors.New("it did not answer in time")
	case err != nil:
		return nil, fmt.Errorf("its answer broke off: %w", err)
	case len(text) > mostText:
		return nil, fmt.Errorf("its answer is larger than %d MiB", mostText>>20)
	}
	return text, nil
}
