// Package worldmap says where a point on earth is on the map of sites: equirectangular, without the Antarctic.
package worldmap

// The size of the map.
const (
	Width  = 1000
	Height = 400
)

const (
	north = 84.0  // degrees at the upper edge
	south = -60.0 // and at the lower one
)

// At is the place of a point in decimal degrees. One beyond an edge is outside of the map.
func At(latitude, longitude float64) (x, y float64) {
	return (longitude + 180) / 360 * Width, (north - latitude) / (north - south) * Height
}
