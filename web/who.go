package web

import (
	"context"
	"fmt"
	"net/http"

	"github.com/planetlab/monitor/access"
)

// viewerOf is who visits a page; a stranger, where nothing is known of him.
func viewerOf(ctx context.Context) access.Who {
	who, _ := ctx.Value(viewerKey).(access.Who)
	return who
}

// public is the account of those who look without having signed in, where pages are public.
const public = "public"

func stranger(who access.Who) bool { return !who.Known() || who.Account == public }

// may reports whether somebody may do something at a site; no site means the fleet.
func (r *request) may(v access.Verb, site string) bool { return access.Allowed(r.who, v, site) }

// must is may, as an error that is told to the visitor.
func (r *request) must(v access.Verb, site string) error {
	err := access.Check(r.who, v, site)
	switch {
	case err == nil:
		return nil
	case stranger(r.who):
		return errSignIn
	}
	return mistake{http.StatusForbidden, fmt.Sprint(err)}
}

// somewhere is must for a page that then leaves out what the visitor may not see.
func (r *request) somewhere(v access.Verb) error {
	for _, site := range r.who.Sites {
		if site != access.AllSites && r.may(v, site) {
			return nil
		}
	}
	return r.must(v, "")
}

// own reports whether rows of a site are shown to the visitor.
func (r *request) own(site string) bool { return r.who.Of(site) || r.who.Of("") }

// fleetwide reports whether the visitor sees all sites.
func (r *request) fleetwide() bool { return r.who.Of("") }
