package inventory

import (
	"encoding/json"
	"reflect"
	"strings"
)

// SchemaID is where the schema of the release stands that editors may fetch.
const SchemaID = "https://raw.githubusercontent.com/planetlab/monitor/main/docs/inventory.schema.json"

// Schema is the form of the file as a JSON Schema, for editors: they complete keys, say what each is for, and mark what
// is none. What goes across sections, as two nodes of one name, only [Parse] finds.
func Schema() []byte {
	root := schemaOf(reflect.TypeFor[Fleet]())
	root.Schema, root.ID, root.Title = "https://json-schema.org/draft/2020-12/schema", SchemaID, "Monitor's inventory"
	text, _ := json.MarshalIndent(root, "", "  ") // of texts and lists alone: it cannot fail
	return append(text, '\n')
}

// schema is as much of JSON Schema as the inventory needs.
type schema struct {
	Schema     string             `json:"$schema,omitempty"`
	ID         string             `json:"$id,omitempty"`
	Title      string             `json:"title,omitempty"`
	About      string             `json:"description,omitempty"`
	Type       string             `json:"type,omitempty"`
	Format     string             `json:"format,omitempty"`
	Enum       []string           `json:"enum,omitempty"`
	AnyOf      []*schema          `json:"anyOf,omitempty"`
	Items      *schema            `json:"items,omitempty"`
	Properties map[string]*schema `json:"properties,omitempty"`
	Required   []string           `json:"required,omitempty"`
	Additional *bool              `json:"additionalProperties,omitempty"`
}

func schemaOf(t reflect.Type) *schema {
	switch {
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem())
	case t == reflect.TypeFor[Date]():
		return &schema{Type: "string", Format: "date"}
	case t.Kind() == reflect.Slice:
		return &schema{Type: "array", Items: schemaOf(t.Elem())}
	case t.Kind() == reflect.Int:
		return &schema{Type: "integer"}
	case t.Kind() == reflect.String:
		return &schema{Type: "string"}
	}
	s := &schema{Type: "object", Properties: map[string]*schema{}, Additional: new(bool)}
	alone := false
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		p := schemaOf(f.Type)
		p.About = f.Tag.Get("about")
		if words := strings.Fields(f.Tag.Get("one")); p.Items != nil {
			p.Items.Enum = append(p.Items.Enum, words...)
		} else {
			p.Enum = words
		}
		s.Properties[key] = p
		if f.Tag.Get("need") != "" {
			s.Required = append(s.Required, key)
		}
		alone = alone || f.Tag.Get("alone") != ""
	}
	if alone { // as in `bmc: 10.0.2.1`
		return &schema{AnyOf: []*schema{{Type: "string"}, s}}
	}
	return s
}
