package site

import (
	"encoding/json"
	"net/http"
)

// Object is one of JSON's.
type Object map[string]any

// Say answers with an object.
func Say(w http.ResponseWriter, status int, what Object) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("OData-Version", "4.0")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what)
}
