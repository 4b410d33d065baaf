package main

import "net/http"

// pages are what the worker serves at http.listen. What it says of its own health stands apart, at metrics.listen.
func pages() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", alive)
	return mux
}
