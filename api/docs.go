package api

import (
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsHTML string

//go:embed docs.css
var docsCSS []byte

// serveDocs serves the document, and a page of it that needs nothing from elsewhere.
func serveDocs(mux *http.ServeMux, doc *huma.OpenAPI) {
	text, err := doc.MarshalJSON()
	page := template.Must(template.New("docs").Parse(docsHTML)) // the template is part of the program
	shown := describe(doc)
	mux.HandleFunc("GET "+Prefix+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			writeProblem(w, problem(broken, err.Error()))
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		_, _ = w.Write(text)
	})
	mux.HandleFunc("GET "+Prefix+"/docs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, shown)
	})
	mux.HandleFunc("GET "+Prefix+"/docs.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(docsCSS)
	})
}

// described is the document as the page shows it.
type described struct {
	Title, About string
	Groups       []describedGroup
	Problems     []describedProblem
}

type describedGroup struct {
	Name, About string
	Operations  []describedOperation
}

type describedOperation struct {
	Method, Path, About, Verb string
	Takes                     []describedField
	Body                      []describedField
}

type describedField struct {
	Name, In, Type, About string
	Needed                bool
}

type describedProblem struct {
	Name, Title, About string
	Status             int
}

func describe(doc *huma.OpenAPI) described {
	d := described{Title: doc.Info.Title, About: doc.Info.Description}
	for _, k := range kinds() {
		d.Problems = append(d.Problems, describedProblem{k.name, k.title, k.about, k.status})
	}
	var paths []string
	for path := range doc.Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, t := range doc.Tags {
		g := describedGroup{Name: t.Name, About: t.Description}
		for _, path := range paths {
			for _, o := range operations(doc.Paths[path]) {
				if slices.Contains(o.Tags, t.Name) {
					g.Operations = append(g.Operations, describeOperation(doc, path, o))
				}
			}
		}
		d.Groups = append(d.Groups, g)
	}
	return d
}

// operations are those of a path.
func operations(p *huma.PathItem) (all []*huma.Operation) {
	for _, o := range []*huma.Operation{p.Get, p.Post, p.Put, p.Patch, p.Delete} {
		if o != nil {
			all = append(all, o)
		}
	}
	return all
}

func describeOperation(doc *huma.OpenAPI, path string, o *huma.Operation) describedOperation {
	verb, _ := o.Extensions["x-verb"].(string)
	d := describedOperation{Method: o.Method, Path: path, About: o.Summary, Verb: verb}
	for _, p := range o.Parameters {
		d.Takes = append(d.Takes, describedField{p.Name, p.In, p.Schema.Type, p.Schema.Description + p.Description, p.Required})
	}
	if o.RequestBody == nil {
		return d
	}
	for _, media := range o.RequestBody.Content {
		schema := media.Schema
		if schema.Ref != "" {
			schema = doc.Components.Schemas.SchemaFromRef(schema.Ref)
		}
		var names []string
		for name := range schema.Properties {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			p := schema.Properties[name]
			what := p.Type
			if len(p.Enum) > 0 {
				var words []string
				for _, w := range p.Enum {
					if s, is := w.(string); is {
						words = append(words, s)
					}
				}
				what = strings.Join(words, " | ")
			}
			d.Body = append(d.Body, describedField{name, "body", what, p.Description, slices.Contains(schema.Required, name)})
		}
	}
	return d
}
