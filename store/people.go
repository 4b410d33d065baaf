package store

import (
	"context"
	"time"
)

// Person is somebody of a site, as PLC has him.
type Person struct {
	PersonID    int       `json:"person_id"`
	Site        string    `json:"site"`
	Email       string    `json:"email"`
	Roles       []string  `json:"roles"`
	ExemptUntil time.Time `json:"exempt_until,omitzero"`
}

const personSQL = `select person_id, site, email, roles, coalesce(exempt_until,` + epoch + `) exempt_until from person `

// PeopleOf reads the people of a site.
func (s *Store) PeopleOf(ctx context.Context, site string) ([]Person, error) {
	return many[Person](ctx, s, "people of "+site, personSQL+`where site = $1 order by email`, site)
}

// PersonByEmail reads in which sites somebody is, and with which roles.
func (s *Store) PersonByEmail(ctx context.Context, email string) ([]Person, error) {
	return many[Person](ctx, s, "person", personSQL+`where lower(email) = lower($1) order by site`, email)
}

// NoticesTo reads which messages went out about a target or, where it is empty, about a site, the latest first.
func (s *Store) NoticesTo(ctx context.Context, target, site string, limit int) ([]Notice, error) {
	return many[Notice](ctx, s, "notices", `select kind, target, site, message_id, recipients, at from notice
		where ($1 = '' or target = $1) and ($2 = '' or site = $2) order by id desc limit $3`, target, site, limit)
}

// SitePlace is where a site is, and how it is.
type SitePlace struct {
	Site      string
	Name      string
	Status    string
	Penalty   int
	Latitude  float64
	Longitude float64
	Nodes     int
	Up        int
	Issues    int
}

// SitePlaces reads the sites of which PLC knows where they are.
func (s *Store) SitePlaces(ctx context.Context) ([]SitePlace, error) {
	return many[SitePlace](ctx, s, "places of sites", `select login_base as site, name, status,
			penalty_level as penalty, latitude, longitude, coalesce(has.nodes, 0)::int nodes,
			coalesce(has.up, 0)::int up, coalesce(opened.n, 0)::int issues
		from site left join (select site, count(*) nodes, count(*) filter (where status in ('online', 'good')) up
				from node where not gone group by site) has on has.site = login_base
			left join (select site, count(*) n from issue where status <> 'closed' group by site) opened
				on opened.site = login_base
		where not gone and latitude is not null and longitude is not null order by login_base`)
}
