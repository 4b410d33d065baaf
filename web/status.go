package web

import (
	"time"

	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// statusView is what everybody may see where the status is public: states, since when, how many nodes of a site are up,
// planned downtimes. No name of a person or PCU, no address, no reason, no log.
type statusView struct {
	Up, Total int
	Sites     []publicSite
	Downtimes []publicDowntime
}

type publicSite struct {
	Site, Status string
	Since        time.Time
	Up, Nodes    int
}

type publicDowntime struct {
	Target       string
	Starts, Ends time.Time
}

func (s *Server) status(r *request) (view, error) {
	if s.Public != PublicStatus && s.Public != PublicFull && stranger(r.who) {
		return view{}, errSignIn
	}
	rows, err := s.read.sites(r.Context())
	if err != nil {
		return view{}, err
	}
	entries, err := readOnce(r.Context(), s.read, "blacklist", []string{"control"}, s.Store.Blacklist)
	if err != nil {
		return view{}, err
	}
	v := statusView{Sites: publicSites(rows)}
	for _, x := range v.Sites {
		v.Up, v.Total = v.Up+x.Up, v.Total+x.Nodes
	}
	v.Downtimes = downtimes(entries, r.now)
	return view{Template: "status", Title: "Status", Data: &v}, nil
}

func publicSites(rows []selection.Site) (list []publicSite) {
	for _, x := range rows {
		if !x.Pending {
			list = append(list, publicSite{x.LoginBase, x.Status, x.Changed, x.NodesUp, x.Nodes})
		}
	}
	return list
}

func downtimes(entries []store.BlacklistEntry, now time.Time) (list []publicDowntime) {
	for _, e := range entries {
		if e.Downtime && e.Kind != "pcu" && e.Until.After(now) {
			list = append(list, publicDowntime{e.Target, e.Starts, e.Until})
		}
	}
	return list
}
