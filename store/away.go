package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// The servers by which people are told.
const (
	ServerMail    = "mail"
	ServerTracker = "tracker"
)

// Away is a server by which people are told that does not take what it is given.
type Away struct {
	Server string    `json:"server"`
	Why    string    `json:"why"`
	Since  time.Time `json:"since"` // when that was first seen
	Tried  time.Time `json:"tried"` // when it was last tried; what waits is tried again
}

// controlAway is the name under which it stands among the controls that a server is away; no order.
const controlAway = "away/"

// Away are the servers that are away.
func (c Controls) Away() (list []Away) {
	for _, server := range []string{ServerMail, ServerTracker} {
		if row, away := c[controlAway+server]; away {
			tried, err := time.Parse(time.RFC3339Nano, row.Value)
			if err != nil {
				tried = row.At
			}
			list = append(list, Away{server, row.Reason, row.At.UTC(), tried.UTC()})
		}
	}
	return list
}

// IsOrder reports whether a control was ordered, and is not what Monitor says of itself.
func (c Control) IsOrder() bool {
	return c.Name != ControlConfigured && !strings.HasPrefix(c.Name, controlAway)
}

// SayAway writes down that a server does not take what it is given. Since when stays what it was.
func (s *Store) SayAway(ctx context.Context, server, why string, now time.Time) error {
	_, err := s.pool.Exec(ctx, `insert into control (name, value, by, reason, at) values ($1,$2,'',$3,$4)
		on conflict (name) do update set value=$2, reason=$3`, controlAway+server, now.UTC().Format(time.RFC3339Nano), why, now)
	if err != nil {
		return fmt.Errorf("control %s%s: %w", controlAway, server, err)
	}
	return nil
}

// SayBack writes down that a server takes what it is given. Where it was not away, nothing is written.
func (s *Store) SayBack(ctx context.Context, server string) error {
	var away bool
	err := s.pool.QueryRow(ctx, `select exists (select from control where name = $1)`, controlAway+server).Scan(&away)
	if err == nil && away {
		_, err = s.pool.Exec(ctx, `delete from control where name = $1`, controlAway+server)
	}
	if err != nil {
		return fmt.Errorf("control %s%s: %w", controlAway, server, err)
	}
	return nil
}
