package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/store"
)

// days is how far back pictures go: policy days, which are shorter in a demo.
const days = 90

// strip is a picture of how something was over the last days: a bar for each, of the worst state in it.
type strip struct {
	Title string
	Bars  []bar
	From  time.Time
	Days  int
	Up    string // the share of the time in which it was up, where that is known
}

type bar struct {
	X, Y, W, H float64
	Tone       string
	Title      string
	At         time.Time
}

// stretch is a state and how long it lasted.
type stretch struct {
	from, to time.Time
	state    string
}

// stretches are the states between two times, by the changes that are known. What was before the first change that is
// known stands in it as what it was.
func stretches(changes []store.Passage, from, to time.Time) []stretch {
	var list []stretch
	at, state := from, ""
	for i, c := range changes {
		if i == 0 {
			state = c.Was
		}
		if c.At.After(at) && c.At.Before(to) {
			list = append(list, stretch{at, c.At, state})
			at = c.At
		}
		if c.At.Before(to) {
			state = c.Became
		}
	}
	return append(list, stretch{at, to, state})
}

// rank orders states from the best to the worst.
func rank(state string) int {
	return map[string]int{"good": 1, "calm": 2, "warn": 3, "bad": 4}[tone(state)]
}

// drawStrip makes bars, one for each day.
func drawStrip(title string, changes []store.Passage, now time.Time, day time.Duration) strip {
	from := now.Add(-days * day)
	s := strip{Title: title, From: from, Days: days}
	all := stretches(changes, from, now)
	var up, known time.Duration
	for i := range days {
		begin, end := from.Add(time.Duration(i)*day), from.Add(time.Duration(i+1)*day)
		worst := ""
		var parts []string
		for _, x := range all {
			if x.from.Before(end) && x.to.After(begin) && x.state != "" {
				lasted := earlier(x.to, end).Sub(later(x.from, begin))
				known += lasted
				if rank(x.state) == 1 {
					up += lasted
				}
				parts = append(parts, fmt.Sprintf("%s for %s", x.state, span(lasted)))
				if rank(x.state) > rank(worst) || worst == "" {
					worst = x.state
				}
			}
		}
		if len(parts) == 0 {
			parts = []string{"not known"}
		}
		if len(parts) > 4 {
			parts = append(parts[:4], fmt.Sprintf("and %d more", len(parts)-4))
		}
		h := map[string]float64{"good": 24, "calm": 24, "warn": 24, "bad": 24}[tone(worst)]
		if h == 0 {
			h = 6
		}
		s.Bars = append(s.Bars, bar{X: float64(i) * 8, Y: 24 - h, W: 6, H: h, Tone: tone(worst), At: begin,
			Title: begin.UTC().Format("2006-01-02 15:04 UTC") + ": " + strings.Join(parts, ", ")})
	}
	if known > 0 {
		s.Up = fmt.Sprintf("%.1f %%", 100*up.Seconds()/known.Seconds())
	}
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// area is a line over time with what is below it.
type area struct {
	Title       string
	Line, Below string // points of SVG
	Points      []point
	Low, High   string
	From, Until time.Time
	Last        string
	Width       int
	Height      int
}

type point struct {
	At    time.Time
	Value string
	X, Y  float64
}

const (
	areaWidth  = 720
	areaHeight = 90
)

// drawAvailability draws the share of nodes that were up at the end of each day. The scale begins below the lowest
// share, so that one node of many shows.
func drawAvailability(list []store.UpOn) area {
	a := area{Title: "Nodes up", Width: areaWidth, Height: areaHeight}
	list = slices.DeleteFunc(slices.Clone(list), func(u store.UpOn) bool { return u.Of <= 0 })
	if len(list) < 2 {
		return a
	}
	low := 1.0
	for _, u := range list {
		low = min(low, share(u))
	}
	low = max(0, float64(int(low*20)-1)/20)
	a.From, a.Until = list[0].Until, list[len(list)-1].Until
	a.Low, a.High = fmt.Sprintf("%.0f %%", low*100), "100 %"
	for i, u := range list {
		x := float64(i) / float64(len(list)-1) * areaWidth
		y := (1 - share(u)) / (1 - low) * areaHeight
		a.Line += fmt.Sprintf("%.1f,%.1f ", x, y)
		a.Points = append(a.Points, point{u.Until, fmt.Sprintf("%d of %d, %.1f %%", u.Up, u.Of, 100*share(u)), x, y})
	}
	a.Last = a.Points[len(a.Points)-1].Value
	a.Below = fmt.Sprintf("0,%d %s%d,%d", areaHeight, a.Line, areaWidth, areaHeight)
	return a
}

func share(u store.UpOn) float64 { return min(1, max(0, float64(u.Up)/float64(u.Of))) }

// drawPenalty makes bars of the penalty level of a site, by what was applied in PLC.
func drawPenalty(claims []store.Claim, now time.Time, day time.Duration) strip {
	from := now.Add(-days * day)
	s := strip{Title: "Penalty level", From: from, Days: days}
	for i := range days {
		begin, end := from.Add(time.Duration(i)*day), from.Add(time.Duration(i+1)*day)
		level := 0
		for _, c := range claims {
			n := map[store.ClaimKind]int{store.ClaimSiteDisabled: 1, store.ClaimSliceSuspended: 2}[c.Kind]
			until := c.Released
			if until.IsZero() {
				until = now
			}
			if n > level && c.Taken.Before(end) && until.After(begin) {
				level = n
			}
		}
		b := bar{X: float64(i) * 8, W: 6, H: 3, Tone: []string{"good", "warn", "bad"}[level], At: begin,
			Title: fmt.Sprintf("%s: level %d", begin.UTC().Format("2006-01-02 15:04 UTC"), level)}
		if level > 0 {
			b.H = float64(level) * 12
		}
		b.Y = 24 - b.H
		s.Bars = append(s.Bars, b)
	}
	return s
}
