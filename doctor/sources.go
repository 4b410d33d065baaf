package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/planetlab/monitor/connect"
	reader "github.com/planetlab/monitor/sources"
)

// sources reads each source of facts once. One that is away stops nothing, and so is no more than a warning.
func sources(ctx context.Context, v *visit) Finding {
	list := connect.Sources(v.cfg.Sources)
	if len(list) == 0 {
		return skipped("there are none")
	}
	var good, bad []string
	for _, r := range reader.Read(ctx, list, v.cfg.Sources.Timeout, v.cfg.Sources.Fresh) {
		switch {
		case r.Err != nil:
			bad = append(bad, fmt.Sprintf("%s: %v", r.Source, r.Err))
		case r.Note != "":
			bad = append(bad, fmt.Sprintf("%s: %d facts, but %s", r.Source, len(r.Facts), r.Note))
		default:
			good = append(good, fmt.Sprintf("%s: %d facts", r.Source, len(r.Facts)))
		}
	}
	if len(bad) > 0 {
		return warning("mend sources in the configuration, or the source: docs/sources.md", "%s",
			strings.Join(append(bad, good...), "\n"))
	}
	return found("%s", strings.Join(good, "; "))
}
