package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/openapi.json anew")

func TestTheDocumentIsThatOfTheGoldenFile(t *testing.T) {
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := json.Indent(&shown, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	shown.WriteByte('\n')
	if *update {
		if err := os.WriteFile("testdata/openapi.json", shown.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, shown.Bytes()) {
		t.Error("testdata/openapi.json is not what the API is now: read the difference after `go test ./api -update`; " +
			"what programs rely on is not taken away")
	}
}

// TestTheDocumentIsLinted holds the document against what readers and generators of clients rely on.
func TestTheDocumentIsLinted(t *testing.T) {
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Ref        string `json:"$ref"`
		Properties map[string]struct {
			Description string `json:"description"`
		} `json:"properties"`
	}
	type content map[string]struct {
		Schema schema `json:"schema"`
	}
	var doc struct {
		OpenAPI  string                `json:"openapi"`
		Security []map[string][]string `json:"security"`
		Tags     []struct{ Name string }
		Paths    map[string]map[string]struct {
			ID         string   `json:"operationId"`
			Summary    string   `json:"summary"`
			Tags       []string `json:"tags"`
			Parameters []struct{ Name, In, Description string }
			Body       *struct{ Content content } `json:"requestBody"`
			Responses  map[string]struct {
				Description string
				Content     content
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || len(doc.Security) != 1 {
		t.Errorf("it is of version %s, with security %v", doc.OpenAPI, doc.Security)
	}
	tags, ids := map[string]bool{}, map[string]string{}
	for _, tag := range doc.Tags {
		tags[tag.Name] = true
	}
	for path, operations := range doc.Paths {
		if strings.HasSuffix(path, "/") || strings.ToLower(path) != path || !strings.HasPrefix(path, Prefix+"/") {
			t.Errorf("%s is no good path", path)
		}
		for method, o := range operations {
			where := method + " " + path
			if ids[o.ID] != "" || o.ID == "" {
				t.Errorf("%s has the id %q of %s", where, o.ID, ids[o.ID])
			}
			ids[o.ID] = where
			if len(o.Tags) != 1 || !tags[o.Tags[0]] || o.Summary == "" || strings.HasSuffix(o.Summary, ".") {
				t.Errorf("%s: tags %v, summary %q", where, o.Tags, o.Summary)
			}
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(o.Parameters, func(p struct{ Name, In, Description string }) bool { return p.Name == name[1] && p.In == "path" }) {
					t.Errorf("%s does not say what %s is", where, name[1])
				}
			}
			for _, p := range o.Parameters {
				if p.Description == "" {
					t.Errorf("%s: nothing describes %s", where, p.Name)
				}
			}
			if o.Body != nil {
				for _, c := range o.Body.Content {
					for name, p := range doc.Components.Schemas[strings.TrimPrefix(c.Schema.Ref, "#/components/schemas/")].Properties {
						if p.Description == "" {
							t.Errorf("%s: nothing describes %s of the body", where, name)
						}
					}
				}
			}
			for _, status := range []string{"401", "403", "429"} {
				if _, is := o.Responses[status].Content["application/problem+json"]; !is && !strings.HasSuffix(path, "/events") {
					t.Errorf("%s does not say that it answers %s", where, status)
				}
			}
		}
	}
}
