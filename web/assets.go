package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed assets/*.js assets/*.css assets/*.svg
var assetFiles embed.FS

// assets are the files that pages name. The name holds the hash of what is in it, so that a browser may keep it for
// ever.
type assets struct {
	content map[string][]byte
	hash    map[string]string
}

func loadAssets() (*assets, error) {
	a := &assets{content: map[string][]byte{}, hash: map[string]string{}}
	err := fs.WalkDir(assetFiles, "assets", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := assetFiles.ReadFile(file)
		sum := sha256.Sum256(text)
		name := path.Base(file)
		a.content[name], a.hash[name] = text, hex.EncodeToString(sum[:8])
		return err
	})
	if land := a.url("land.svg"); err == nil { // the only file that another one names
		a.content["style.css"] = bytes.ReplaceAll(a.content["style.css"], []byte("land.svg"), []byte(land))
		sum := sha256.Sum256(a.content["style.css"])
		a.hash["style.css"] = hex.EncodeToString(sum[:8])
	}
	return a, err
}

// url is where a file is served. A name that is none is a mistake in a template, and shows.
func (a *assets) url(name string) string {
	if a.hash[name] == "" {
		return fmt.Sprintf("/assets/missing/%s", name)
	}
	return "/assets/" + a.hash[name] + "/" + name
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if a.hash[name] == "" || a.hash[name] != r.PathValue("hash") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(a.content[name]))
}
