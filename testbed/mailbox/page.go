package mailbox

import (
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strconv"
)

//go:embed page.html
var pageHTML string

// Handler shows the mail: a list, and one message at /<number>, counted from the oldest that is kept. It works below
// any prefix that is stripped before it.
func (m *Mailbox) Handler() http.Handler {
	page := template.Must(template.New("page").Parse(pageHTML))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		list := m.Messages()
		rows := make([]row, len(list))
		for i, msg := range list {
			rows[i] = row{i, msg}
		}
		slices.Reverse(rows)
		show(w, page, "list", rows)
	})
	mux.HandleFunc("GET /{number}", func(w http.ResponseWriter, r *http.Request) {
		list := m.Messages()
		n, err := strconv.Atoi(r.PathValue("number"))
		if err != nil || n < 0 || n >= len(list) {
			http.NotFound(w, r)
			return
		}
		show(w, page, "message", list[n])
	})
	return mux
}

type row struct {
	Number int
	Message
}

func show(w http.ResponseWriter, page *template.Template, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	// An error here means that the reader has gone away: nobody is left to tell.
	_ = page.ExecuteTemplate(w, name, data)
}
