// Package api serves Monitor to programs, and to its own command line, as JSON over HTTP under /api/v1. It reads what
// answers/ and selection/ read, and gives orders at the same desk (orders/) as everybody else. Who may do what stands in
// access/; a stranger gets nothing.
//
// Every operation is registered with the verb that it is of, so that none can be asked without the table. Refusals are
// problems of RFC 9457 with types that stay the same; docs.go serves a page about them and the operations.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
)

// Prefix is where all operations are.
const Prefix = "/api/v1"

// Options are what the API needs.
type Options struct {
	Store    *store.Store
	Temporal client.Client
	News     *store.News
	Who      Authenticator
	Groups   map[string]string   // expressions by name, for @name in a filter
	Models   *pcucontrol.Catalog // of PCUs; nil: no model is unknown
	Runs     *orders.Runs        // carries out what is run on nodes; nil: nothing is
	PLC      *plc.Client         // with Monitor's account; nil: PLC is not asked
	Log      *slog.Logger
	Now      func() time.Time
}

// server answers the operations.
type server struct {
	Options
	desk orders.Desk
}

// New is the handler of everything under Prefix.
func New(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	mux := http.NewServeMux()
	s := &server{Options: o, desk: orders.Desk{Store: o.Store, Temporal: o.Temporal, Now: o.Now}}
	doc := s.register(mux)
	serveDocs(mux, doc)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problem(notFound, "there is no such thing here: see "+Prefix+"/docs"))
	})
	return newGuard(o, mux)
}

// OpenAPI is the document that describes the API, in JSON.
func OpenAPI() ([]byte, error) {
	return new(server).register(http.NewServeMux()).MarshalJSON()
}

func (s *server) register(mux *http.ServeMux) *huma.OpenAPI {
	config := huma.DefaultConfig("Monitor", "1.0.0")
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.Info.Description = "Monitor keeps a far-flung fleet of machines alive. Operations that order something take " +
		"a reason, `Idempotency-Key` (the same order under the same key is given once), `dryRun=true` (say what it would " +
		"do), and, where they concern one issue, `If-Match`."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // ours are served behind the guard
	config.CreateHooks = nil
	config.RejectUnknownQueryParameters = true
	format := huma.Format{Marshal: marshal, Unmarshal: json.Unmarshal}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	config.Transformers = []huma.Transformer{typed}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "A token of `monitor token add`, never in an address."},
	}
	config.Security = []map[string][]string{{"token": {}}}
	config.Tags = tags()
	api := humago.New(mux, config)
	s.readers(api)
	s.issues(api)
	s.fleet(api)
	s.nodes(api)
	s.rollouts(api)
	s.runs(api)
	s.plcRecords(api)
	s.outlets(api)
	s.tokens(api)
	s.events(api)
	doc := api.OpenAPI()
	openAnswers(doc)
	return doc
}

// marshal writes JSON that neither a browser nor a terminal takes for anything else.
func marshal(w io.Writer, v any) error {
	text, err := json.Marshal(v) // which escapes <, > and &
	if err == nil {
		_, err = w.Write(append(clean.JSON(text), '\n'))
	}
	return err
}

// openAnswers says of what is answered that it may have more fields one day. What is sent must be as described.
func openAnswers(doc *huma.OpenAPI) {
	sent := map[string]bool{}
	for _, path := range doc.Paths {
		for _, o := range operations(path) {
			if o.RequestBody == nil {
				continue
			}
			for _, media := range o.RequestBody.Content {
				sent[media.Schema.Ref] = true
			}
		}
	}
	for name, schema := range doc.Components.Schemas.Map() {
		if !sent["#/components/schemas/"+name] && schema.AdditionalProperties == false {
			schema.AdditionalProperties = nil
		}
	}
}

// schemaName names the schema of a type. Rows of lists are called so, since each stands beside the whole thing; nodes and
// states of roll-outs are not those of the fleet.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch {
	case strings.HasSuffix(t.PkgPath(), "/selection"):
		name += "Row"
	case strings.HasSuffix(t.PkgPath(), "monitor/rollout"):
		name = "Rollout" + name
	}
	return name
}

func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: "fleet", Description: "The whole fleet: its state, what comes, and orders for all of it"},
		{Name: "issues", Description: "Issues, and orders to them"},
		{Name: "targets", Description: "Nodes, sites and PCUs"},
		{Name: "PLC", Description: "PLC's own records and its groups of nodes, as they are now"},
		{Name: "ledger", Description: "What was done and ordered, and news of it"},
		{Name: "access", Description: "Who one is, and tokens"},
	}
}

// route is how an operation is reached, and what it is of.
type route struct {
	method, path string
	id           string // of the operation, for generated clients
	tag, about   string
	verb         access.Verb
	order        bool  // it changes something
	most         int64 // bytes of a body; 0: mostBody
}

// op registers an operation. Whether somebody may use it at all is asked here; where the verb is one of sites, the
// operation asks again for the site in question.
func op[I, O any](s *server, api huma.API, r route,
	answer func(ctx context.Context, who access.Who, in *I) (*O, error)) {
	huma.Register(api, r.operation(), func(ctx context.Context, in *I) (*O, error) {
		who := whoOf(ctx)
		err := mayAtAll(who, r.verb)
		var out *O
		if err == nil {
			out, err = answer(ctx, who, in)
		}
		if err != nil {
			p := problemOf(err)
			if p.Status == broken.status {
				s.Log.ErrorContext(ctx, "an operation of the API failed", "operation", r.id, "error", err)
			}
			return nil, p
		}
		return out, nil
	})
}

func (r route) operation() huma.Operation {
	failures := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests,
		http.StatusServiceUnavailable}
	if r.order {
		failures = append(failures, http.StatusConflict, http.StatusPreconditionFailed)
	}
	return huma.Operation{
		Method: r.method, Path: Prefix + r.path, OperationID: r.id, Summary: r.about, Tags: []string{r.tag},
		Errors: failures, MaxBodyBytes: cmp.Or(r.most, mostBody), BodyReadTimeout: bodyWithin,
		Extensions: map[string]any{"x-verb": string(r.verb)},
	}
}

// mayAtAll refuses those who may use a verb nowhere.
func mayAtAll(who access.Who, verb access.Verb) error {
	err := access.Check(who, verb, "")
	for _, site := range who.Sites {
		if err == nil {
			break
		}
		err = access.Check(who, verb, site)
	}
	return err
}
