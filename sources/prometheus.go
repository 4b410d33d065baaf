package sources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prometheus asks a server of Prometheus one instant query for each fact.
type Prometheus struct {
	URL     string
	Token   string            // a bearer token; a secret
	Label   string            // names the node; a port behind it is cut off
	Queries map[string]string // by the name of the fact
}

// Name is prometheus.
func (Prometheus) Name() string { return "prometheus" }

// Facts asks the queries one after the other. One that fails ends the reading: half an answer is none.
func (p Prometheus) Facts(ctx context.Context) (facts []Fact, _ string, _ error) {
	for _, name := range slices.Sorted(maps.Keys(p.Queries)) {
		address := strings.TrimRight(p.URL, "/") + "/api/v1/query?" + url.Values{"query": {p.Queries[name]}}.Encode()
		text, err := fetch(ctx, address, p.Token)
		var samples []sample
		if err == nil {
			samples, err = readVector(text)
		}
		if err != nil {
			return nil, "", fmt.Errorf("query %s: %w", name, err)
		}
		for _, s := range samples {
			if node := s.labels[p.Label]; node != "" {
				facts = append(facts, Fact{Node: withoutPort(node), Name: name, Value: s.value, At: s.at})
			}
		}
	}
	return facts, "", nil
}

type sample struct {
	labels map[string]string
	value  float64
	at     time.Time
}

// readVector reads the answer to an instant query. NaN is how Prometheus says that it does not know.
func readVector(text []byte) ([]sample, error) {
	var answer struct {
		Data struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, errors.New("the answer is none of Prometheus")
	}
	if answer.Data.ResultType != "vector" {
		return nil, fmt.Errorf("the query gives a %q, and must give a vector", answer.Data.ResultType)
	}
	var rows []struct {
		Metric map[string]string  `json:"metric"`
		Value  [2]json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(answer.Data.Result, &rows); err != nil {
		return nil, errors.New("the answer is none of Prometheus")
	}
	var out []sample
	for _, r := range rows {
		var at float64
		var value string
		if json.Unmarshal(r.Value[0], &at) != nil || json.Unmarshal(r.Value[1], &value) != nil {
			return nil, errors.New("the answer is none of Prometheus")
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(number) || math.IsInf(number, 0) {
			continue
		}
		out = append(out, sample{r.Metric, number, time.UnixMilli(int64(at * 1000))})
	}
	return out, nil
}

func withoutPort(node string) string {
	if host, _, err := net.SplitHostPort(node); err == nil {
		return host
	}
	return node
}
