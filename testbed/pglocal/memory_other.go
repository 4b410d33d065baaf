//go:build !linux

package pglocal

// folder is where the files of a cluster lie; "" is the folder for temporary files.
func folder() string { return "" }
