package api

import (
	"context"
	"strings"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/store"
)

func (s *server) silences(ctx context.Context, who access.Who, _ *struct{}) (*struct{ Body []store.BlacklistEntry }, error) {
	list, err := s.Store.Blacklist(ctx)
	mine := []store.BlacklistEntry{}
	for _, e := range list {
		if s.mayRead(ctx, who, e.Kind, e.Target) {
			e.Starts, e.Until = e.Starts.UTC(), e.Until.UTC()
			mine = append(mine, e)
		}
	}
	return &struct{ Body []store.BlacklistEntry }{mine}, err
}

func (s *server) exemptions(ctx context.Context, who access.Who, _ *struct{}) (*struct{ Body []answers.Exemption }, error) {
	list, err := answers.Exemptions(ctx, s.Store, s.Now())
	mine := []answers.Exemption{}
	for _, x := range list {
		if s.mayRead(ctx, who, x.Kind, x.Target) {
			mine = append(mine, x)
		}
	}
	return &struct{ Body []answers.Exemption }{mine}, err
}

// mayRead reports whether somebody may read that a thing is left alone. A person may have several sites, and his address
// is not for everybody. What is no longer known is of no site.
func (s *server) mayRead(ctx context.Context, who access.Who, kind, target string) bool {
	site := target
	switch {
	case kind == store.OfPerson:
		return access.Allowed(who, access.SeeMail, "")
	case who.Of(""):
		site = ""
	case kind == store.OfSlice:
		site, _, _ = strings.Cut(target, "_")
	case kind != store.OfSite:
		t, err := answers.Find(ctx, s.Store, target)
		if err != nil {
			return false
		}
		site = t.Site
	}
	return access.Allowed(who, access.SeeNodes, site)
}

func (s *server) disabled(ctx context.Context, who access.Who, _ *struct{}) (*struct{ Body []store.Disabled }, error) {
	list, err := s.Store.Disabled(ctx)
	mine := []store.Disabled{}
	for _, d := range list {
		if access.Allowed(who, access.SeeNodes, d.Site) {
			d.Since = d.Since.UTC()
			mine = append(mine, d)
		}
	}
	return &struct{ Body []store.Disabled }{mine}, err
}
