package connect

import (
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/sources"
)

// Sources are those of facts about nodes that the configuration names.
func Sources(c config.Sources) (list []sources.Source) {
	if p := c.Prometheus; p.URL != "" {
		list = append(list, sources.Prometheus{URL: p.URL, Token: p.Token.Reveal(), Label: p.Label, Queries: p.Queries})
	}
	if t := c.Table; t.URL != "" {
		list = append(list, sources.Table{URL: t.URL, Node: t.Node, Columns: t.Columns})
	}
	if l := c.Lines; len(l.Command) > 0 || l.File != "" {
		list = append(list, sources.Lines{Command: l.Command, File: l.File})
	}
	return list
}
