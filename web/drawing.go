package web

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"maps"
	"sync"
	"time"

	"github.com/planetlab/monitor/store"
)

// drawings are what pages show, drawn once for all who have the same rights and look at the same address: two hundred
// open pages that hear of a change cost one drawing. What is a visitor's own, as his name and the nonce, is drawn around
// it. Only pages whose data come from the reader are shared.
type drawings struct {
	live *hub

	mu   sync.Mutex
	kept map[string]*drawing
}

// drawing is the inside of a page.
type drawing struct {
	began time.Time
	told  map[string]uint64 // what pages had been told when it began, by topic

	done          chan struct{} // closed when it is drawn, or cannot be
	shown         bool          // it is drawn, and others may see it
	view          view          // without what it was drawn from
	at            time.Time     // what "now" is in it
	head, content template.HTML
}

const (
	drawnFor     = 5 * time.Second // the times in it are relative to when it was drawn
	mostDrawings = 64              // the largest have some hundred kilobytes
)

// shared makes a page one that is drawn once for many.
func (s *Server) shared(p page) page {
	return func(r *request) (view, error) {
		if r.URL.Query().Get("format") != "" { // a file
			return p(r)
		}
		key := fmt.Sprintf("%q %q %t %t %s", r.who.Role, r.who.Sites, r.who.Known(), stranger(r.who), r.URL.RequestURI())
		came := time.Now()
		for {
			d, mine := s.drawings.find(key)
			switch {
			case d == nil:
				return p(r)
			case mine:
				return s.drawShared(r, p, key, d)
			}
			select {
			case <-r.Context().Done():
				return view{}, r.Context().Err()
			case <-d.done:
			}
			switch {
			case !d.shown: // it may be a mistake that names the visitor
				return p(r)
			case !d.began.Before(came) || s.drawings.fresh(d):
				return d.view, nil
			}
			s.drawings.drop(key, d)
		}
	}
}

// drawShared draws for those who wait, too, and so it does not end when the visitor leaves.
func (s *Server) drawShared(r *request, p page, key string, d *drawing) (view, error) {
	defer func() {
		if !d.shown {
			s.drawings.drop(key, d)
		}
		close(d.done)
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), longestPage)
	defer cancel()
	r = &request{Request: r.WithContext(ctx), now: r.now, who: r.who}
	v, err := p(r)
	if err != nil || v.Code != 0 || v.To != "" || v.Send != nil {
		return v, err
	}
	if err := s.draw(r, v, d); err != nil {
		return view{}, err
	}
	d.shown = true
	return d.view, nil
}

// draw draws the inside of a page.
func (s *Server) draw(r *request, v view, d *drawing) error {
	inside := shell{view: v, Path: r.URL.Path, Self: r.URL.RequestURI(), Now: r.now}
	for name, into := range map[string]*template.HTML{"head": &d.head, "content": &d.content} {
		var b bytes.Buffer
		if err := s.templates[v.Template].ExecuteTemplate(&b, name, inside); err != nil {
			return fmt.Errorf("%s of the template %s: %w", name, v.Template, err)
		}
		*into = template.HTML(b.String()) // which is what a template has made
	}
	v.Data, v.drawn = nil, d
	d.view, d.at = v, r.now
	return nil
}

// find is a drawing to wait for, or one to make, which is mine; none, if there are too many.
func (d *drawings) find(key string) (found *drawing, mine bool) {
	told := d.live.toldNow()
	d.mu.Lock()
	defer d.mu.Unlock()
	if found = d.kept[key]; found != nil {
		return found, false
	}
	if len(d.kept) >= mostDrawings {
		maps.DeleteFunc(d.kept, func(_ string, old *drawing) bool { return time.Since(old.began) > drawnFor })
	}
	if len(d.kept) >= mostDrawings {
		return nil, false
	}
	found = &drawing{began: time.Now(), told: told, done: make(chan struct{})}
	d.kept[key] = found
	return found, true
}

// fresh reports whether a drawing shows what pages were told of last.
func (d *drawings) fresh(x *drawing) bool {
	if !d.live.listens() || time.Since(x.began) > drawnFor {
		return false
	}
	now := d.live.toldNow()
	for _, topic := range append([]string{store.Everything}, x.view.Topics...) {
		if now[topic] != x.told[topic] {
			return false
		}
	}
	return true
}

// drop lets go of a drawing, unless another has taken its place.
func (d *drawings) drop(key string, x *drawing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept[key] == x {
		delete(d.kept, key)
	}
}

// anew lets go of all.
func (d *drawings) anew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.kept)
}
