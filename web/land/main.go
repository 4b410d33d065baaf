// Land makes web/assets/land.svg, the coastline of the map of sites: from land-110m.json of the npm package world-atlas,
// which is Natural Earth's land at 1:110m. Natural Earth is in the public domain.
//
//	npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
//	go run ./web/land <package/land-110m.json >web/assets/land.svg
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/planetlab/monitor/web/worldmap"
)

// topology is as much of TopoJSON as the file has: lines as steps of whole numbers, and areas that name lines.
type topology struct {
	Arcs      [][][2]int
	Transform struct{ Scale, Translate [2]float64 }
	Objects   struct {
		Land struct {
			Geometries []struct{ Arcs [][][]int }
		}
	}
}

// The drawing counts in tenths of the map's unit: whole units make steps of a coast, and level lines of islands.
const (
	fine   = 10
	width  = worldmap.Width * fine
	height = worldmap.Height * fine
	least  = 8 // less in height or width would be a dash, or a dot
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "land:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var t topology
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return err
	}
	var path strings.Builder
	for _, g := range t.Objects.Land.Geometries {
		for _, polygon := range g.Arcs {
			for _, ring := range polygon {
				path.WriteString(t.draw(ring))
			}
		}
	}
	_, err := fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d"><path d="%s"/></svg>`+"\n",
		width, height, path.String())
	return err
}

// draw is one closed line. Points that fall on one another at the size of the map are drawn once.
func (t topology) draw(ring []int) string {
	pieces, inside := [][][2]float64{nil}, false
	for _, n := range ring {
		for _, p := range t.points(n) {
			x, y := worldmap.At(p[1], p[0])
			at := [2]float64{math.Round(x * fine), math.Round(min(max(y*fine, 0), height))}
			inside = inside || y < worldmap.Height
			last := &pieces[len(pieces)-1]
			if k := len(*last); k > 0 && math.Abs((*last)[k-1][0]-at[0]) > width/2 { // over the date line
				here := edge((*last)[k-1][0])
				*last = append(*last, [2]float64{here, at[1]})
				pieces = append(pieces, [][2]float64{{width - here, at[1]}})
				last = &pieces[len(pieces)-1]
			}
			if k := len(*last); k == 0 || (*last)[k-1] != at {
				*last = append(*last, at)
			}
		}
	}
	if n := len(pieces) - 1; n > 0 { // the ring ends on the side where it began
		pieces[0], pieces = append(pieces[n], pieces[0]...), pieces[:n]
	}
	if !inside {
		return "" // below the lower edge
	}
	var b strings.Builder
	for _, piece := range pieces {
		if small(piece) {
			continue
		}
		fmt.Fprintf(&b, "M%g %gl", piece[0][0], piece[0][1])
		for i, at := range piece[1:] {
			fmt.Fprintf(&b, "%g %g ", at[0]-piece[i][0], at[1]-piece[i][1])
		}
		b.WriteString("Z")
	}
	return b.String()
}

func small(piece [][2]float64) bool {
	for axis := range 2 {
		by := func(a, b [2]float64) int { return cmp.Compare(a[axis], b[axis]) }
		if slices.MaxFunc(piece, by)[axis]-slices.MinFunc(piece, by)[axis] < least {
			return true
		}
	}
	return false
}

// edge is the side of the map that is near.
func edge(x float64) float64 {
	if x > width/2 {
		return width
	}
	return 0
}

// points are longitude and latitude of a line; one named by its complement is walked backwards.
func (t topology) points(n int) [][2]float64 {
	arc := t.Arcs[max(n, ^n)]
	var list [][2]float64
	x, y := 0, 0
	for _, step := range arc {
		x, y = x+step[0], y+step[1]
		list = append(list, [2]float64{
			float64(x)*t.Transform.Scale[0] + t.Transform.Translate[0],
			float64(y)*t.Transform.Scale[1] + t.Transform.Translate[1],
		})
	}
	if n < 0 {
		slices.Reverse(list)
	}
	return list
}
