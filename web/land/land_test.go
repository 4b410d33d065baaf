package main

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/planetlab/monitor/web/worldmap"
)

// coast reads the lines of the drawing that the pages show.
func coast(t *testing.T) (lines [][][2]float64) {
	t.Helper()
	svg, err := os.ReadFile("../assets/land.svg")
	if err != nil {
		t.Fatal(err)
	}
	d := regexp.MustCompile(` d="([^"]+)"`).FindSubmatch(svg)
	if d == nil || !strings.Contains(string(svg), fmt.Sprintf(`viewBox="0 0 %d %d"`, width, height)) {
		t.Fatal("land.svg is not what this program makes")
	}
	for text := range strings.SplitSeq(strings.TrimSuffix(string(d[1]), "Z"), "Z") {
		start, steps, _ := strings.Cut(text, "l")
		var at [2]float64
		if _, err := fmt.Sscanf(start, "M%g %g", &at[0], &at[1]); err != nil {
			t.Fatal(err)
		}
		line, in := [][2]float64{at}, strings.NewReader(steps)
		for in.Len() > 0 {
			var dx, dy float64
			if n, _ := fmt.Fscan(in, &dx, &dy); n < 2 {
				break
			}
			at = [2]float64{at[0] + dx, at[1] + dy}
			line = append(line, at)
		}
		lines = append(lines, line)
	}
	return lines
}

// TestNoLineCrossesTheMap: an area that lies on both sides of the date line is drawn on both, not across the map.
func TestNoLineCrossesTheMap(t *testing.T) {
	lines := coast(t)
	if len(lines) < 80 {
		t.Fatalf("%d coasts are too few", len(lines))
	}
	for _, line := range lines {
		for i, a := range line {
			b := line[(i+1)%len(line)]
			if math.Abs(a[0]-b[0]) > width/20 {
				t.Errorf("a line goes from %v to %v", a, b)
			}
		}
	}
}

// TestLandIsLand: what the drawing fills is land, near the date line, too.
func TestLandIsLand(t *testing.T) {
	lines := coast(t)
	for _, place := range []struct {
		name                string
		latitude, longitude float64
		land                bool
	}{
		{"Greenland", 72, -40, true}, {"Siberia", 65, 110, true}, {"Chukotka, east of the date line", 66.5, -175, true},
		{"Chukotka, west of it", 67, 175, true}, {"Kenya, on the equator", 0, 37, true}, {"Brazil", -10, -50, true},
		{"Australia", -25, 135, true}, {"the Pacific", 0, -150, false}, {"the Atlantic", 0, -30, false},
		{"the Arctic", 79, 140, false}, {"the Bering Sea", 58, -178, false}, {"the Caspian Sea", 42, 50.5, false},
	} {
		x, y := worldmap.At(place.latitude, place.longitude)
		inside := false
		for _, line := range lines {
			for i, a := range line {
				b := line[(i+1)%len(line)]
				if (a[1] > y*fine) != (b[1] > y*fine) && x*fine < a[0]+(y*fine-a[1])/(b[1]-a[1])*(b[0]-a[0]) {
					inside = !inside
				}
			}
		}
		if inside != place.land {
			t.Errorf("%s is land: %t", place.name, inside)
		}
	}
}
