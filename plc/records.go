package plc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Form is what a field of a record holds.
type Form string

// The forms of fields.
const (
	FormNumber  Form = "number"
	FormReal    Form = "real"
	FormText    Form = "text"
	FormBool    Form = "bool"
	FormTime    Form = "time" // PLC sends seconds since 1970
	FormNumbers Form = "numbers"
	FormTexts   Form = "texts"
)

// Field is a field of a kind of records that may be read and shown.
type Field struct {
	Name string
	Form Form
	// Asked says that it is read only where it is named: it is long, or people write into it what they like.
	Asked bool
}

// Kind is a kind of PLC's records, with the fields that may be shown. What is secret (passwords, keys, sessions) is no
// field of it: it can be neither read nor filtered by.
type Kind struct {
	Name   string // as in the method that reads it: Nodes
	ID     string
	Key    string // the field by which people know a row
	Fields []Field
	secret []string
}

// Kinds are those that can be read, by name.
func Kinds() []Kind {
	return []Kind{
		kindOf("Interfaces", "interface_id", "ip", nil,
			"interface_id node_id ip is_primary:bool method type hostname mac gateway network netmask broadcast dns1 dns2 "+
				"bwlimit:number interface_tag_ids:numbers last_updated:time"),
		kindOf("NodeGroups", "nodegroup_id", "groupname", nil,
			"nodegroup_id groupname tagname value tag_type_id node_ids:numbers conf_file_ids:numbers"),
		kindOf("NodeTags", "node_tag_id", "tagname", nil, "node_tag_id node_id hostname tagname value category tag_type_id description?"),
		kindOf("Nodes", "node_id", "hostname", []string{"key", "session", "boot_nonce"},
			"node_id hostname site_id boot_state run_level model version node_type verified:bool last_contact:time last_boot:time "+
				"last_download:time last_pcu_reboot:time last_pcu_confirmation:time date_created:time last_updated:time pcu_ids:numbers "+
				"ports:numbers interface_ids:numbers nodegroup_ids:numbers node_tag_ids:numbers conf_file_ids:numbers slice_ids:numbers "+
				"slice_ids_whitelist:numbers peer_id peer_node_id ssh_rsa_key?"),
		kindOf("PCUs", "pcu_id", "hostname", []string{"password"},
			"pcu_id hostname ip site_id model username protocol node_ids:numbers ports:numbers last_updated:time notes?"),
		kindOf("Persons", "person_id", "email", []string{"password", "verification_key", "verification_expires", "key", "keys"},
			"person_id email first_name last_name enabled:bool roles:texts site_ids:numbers title phone url date_created:time "+
				"last_updated:time role_ids:numbers key_ids:numbers slice_ids:numbers person_tag_ids:numbers peer_id peer_person_id bio?"),
		kindOf("SiteTags", "site_tag_id", "tagname", nil, "site_tag_id site_id login_base tagname value category tag_type_id description?"),
		kindOf("Sites", "site_id", "login_base", nil,
			"site_id login_base name abbreviated_name enabled:bool is_public:bool max_slices:number max_slivers:number url latitude:real "+
				"longitude:real date_created:time last_updated:time ext_consortium_id node_ids:numbers pcu_ids:numbers slice_ids:numbers "+
				"person_ids:numbers address_ids:numbers site_tag_ids:numbers peer_id peer_site_id"),
		kindOf("SliceTags", "slice_tag_id", "tagname", nil,
			"slice_tag_id slice_id name tagname value node_id nodegroup_id category tag_type_id description?"),
		kindOf("Slices", "slice_id", "name", nil,
			"slice_id name site_id instantiation created:time expires:time max_nodes:number creator_person_id url node_ids:numbers "+
				"person_ids:numbers slice_tag_ids:numbers peer_id peer_slice_id description?"),
		kindOf("TagTypes", "tag_type_id", "tagname", nil, "tag_type_id tagname category roles:texts role_ids:numbers description?"),
	}
}

// kindOf reads the fields of a kind: NAME or NAME:FORM, with a question mark behind what is read only where it is named.
// Without a form, what ends in _id is a number, and all else a text.
func kindOf(name, id, key string, secret []string, fields string) Kind {
	k := Kind{Name: name, ID: id, Key: key, secret: secret}
	for _, text := range strings.Fields(fields) {
		text, asked := strings.CutSuffix(text, "?")
		name, form, told := strings.Cut(text, ":")
		switch {
		case told:
		case strings.HasSuffix(name, "_id"):
			form = string(FormNumber)
		default:
			form = string(FormText)
		}
		k.Fields = append(k.Fields, Field{name, Form(form), asked})
	}
	return k
}

// KindNamed finds a kind by its name, in any spelling and also in the singular. The error names all there are.
func KindNamed(name string) (Kind, error) {
	var names []string
	for _, k := range Kinds() {
		if strings.EqualFold(k.Name, name) || strings.EqualFold(strings.TrimSuffix(k.Name, "s"), name) {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kind{}, fmt.Errorf("PLC has no records %q that can be read: there are %s", name, strings.Join(names, ", "))
}

// Field finds a field by its name. The error names all there are.
func (k Kind) Field(name string) (Field, error) {
	var names []string
	for _, f := range k.Fields {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	if slices.Contains(k.secret, name) {
		return Field{}, fmt.Errorf("%s of %s is secret: Monitor does not show it", name, k.Name)
	}
	return Field{}, fmt.Errorf("%s have no field %q: there are %s", k.Name, name, strings.Join(names, ", "))
}

// peers reports whether rows may be a peer's.
func (k Kind) peers() bool {
	return slices.ContainsFunc(k.Fields, func(f Field) bool { return f.Name == "peer_id" })
}

// Condition is what a field of a record must be: FIELD=VALUE, FIELD!=VALUE, FIELD<VALUE or FIELD>VALUE. In a text, * stands
// for anything. Of a field that is a list, VALUE must be in it.
type Condition struct {
	Field Field
	Not   bool
	Order string // < or >; empty: it is equal
	Value any
}

var conditionForm = regexp.MustCompile(`^([a-z0-9_]+)(!=|=|<|>)(.*)$`)

// Condition reads a condition.
func (k Kind) Condition(text string) (c Condition, err error) {
	m := conditionForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return c, fmt.Errorf("%q is no condition: write FIELD=VALUE, FIELD!=VALUE, FIELD<VALUE or FIELD>VALUE", text)
	}
	if c.Field, err = k.Field(m[1]); err != nil {
		return c, err
	}
	switch c.Not = m[2] == "!="; m[2] {
	case "<", ">":
		c.Order = m[2]
		if !slices.Contains([]Form{FormNumber, FormReal, FormTime}, c.Field.Form) {
			return c, fmt.Errorf("%s is no number and no time: %q cannot be asked of it", m[1], m[2])
		}
	}
	c.Value, err = c.Field.read(strings.TrimSpace(m[3]))
	return c, err
}

// read is a value as PLC takes it, which is strict about types.
func (f Field) read(text string) (any, error) {
	wrong := func(what string) error { return fmt.Errorf("%s is %s, and %q is none", f.Name, what, text) }
	switch f.Form {
	case FormNumber, FormNumbers:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, wrong("a number")
		}
		return int(n), nil
	case FormReal:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, wrong("a number")
		}
		return n, nil
	case FormBool:
		switch strings.ToLower(text) {
		case "yes", "true", "1":
			return true, nil
		case "no", "false", "0":
			return false, nil
		}
		return nil, wrong("yes or no")
	case FormTime:
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			return int(n), nil
		}
		for _, layout := range []string{time.RFC3339, time.DateOnly} {
			if at, err := time.Parse(layout, text); err == nil && at.Unix() >= 0 && at.Year() < 2038 {
				return int(at.Unix()), nil
			}
		}
		return nil, wrong("a time as 2026-11-20 or 2026-11-20T15:00:00Z")
	}
	return text, nil
}

// ErrQuestion says that PLC cannot be asked so.
var ErrQuestion = errors.New("this cannot be asked of PLC")

// filterOf is what PLC is asked. Conditions of one field that are alike but for their values are joined by or, all others
// by and.
func filterOf(conditions []Condition) (map[string]any, error) {
	filter := map[string]any{}
	values := map[string][]any{}
	for _, c := range conditions {
		key := c.Field.Name
		if c.Field.Form == FormNumbers || c.Field.Form == FormTexts {
			key = "|" + key
		}
		if key = c.Order + key; c.Not {
			key = "~" + key
		}
		values[key] = append(values[key], c.Value)
		switch list := values[key]; {
		case strings.Contains(key, "|"):
			filter[key] = list
		case len(list) == 1:
			filter[key] = c.Value
		case c.Order != "":
			return nil, fmt.Errorf("%w: %s%s is asked twice: once is enough", ErrQuestion, c.Field.Name, c.Order)
		default:
			for _, v := range list {
				if s, is := v.(string); is && strings.ContainsAny(s, "*%") {
					return nil, fmt.Errorf("%w: %s: a value with * stands alone: PLC reads none in a list", ErrQuestion, c.Field.Name)
				}
			}
			filter[key] = list
		}
	}
	return filter, nil
}

// Record is a row of PLC by its fields: texts, numbers, bools, times, and lists of texts or numbers; nil is what PLC does
// not know.
type Record map[string]any

// Query is what is asked of PLC.
type Query struct {
	Kind       Kind
	Conditions []Condition
	Fields     []string // empty: all that need not be named
	Peers      bool     // those of peers, too
}

// Records reads records of PLC, by id. It never answers what is secret. Rows that PLC cannot send are named in bad. Without
// the role admin it is ErrNotAdmin, since PLC would leave out what the account may not see.
func (c *Client) Records(ctx context.Context, q Query) (list []Record, bad []int, err error) {
	filter, err := filterOf(q.Conditions)
	if err != nil {
		return nil, nil, err
	}
	var fields []string
	for _, f := range q.Kind.Fields {
		if len(q.Fields) == 0 && !f.Asked || slices.Contains(q.Fields, f.Name) {
			fields = append(fields, f.Name)
		}
	}
	for _, name := range q.Fields {
		if _, err := q.Kind.Field(name); err != nil {
			return nil, nil, err
		}
	}
	needed := []string{q.Kind.ID}
	if q.Kind.peers() && !q.Peers {
		needed = append(needed, "peer_id")
		if _, asked := filter["peer_id"]; !asked {
			filter["peer_id"] = nil
		}
	}
	if slices.Contains(fields, "value") {
		needed = append(needed, "tagname")
	}
	if err := c.mustBeAdmin(ctx); err != nil {
		return nil, nil, err
	}
	method := "Get" + q.Kind.Name
	rows, bad, err := c.bulk(ctx, method, q.Kind.ID, filter, union(needed, fields))
	if errors.Is(err, ErrInvalid) && len(q.Fields) == 0 {
		if fields, err = c.fieldsThere(ctx, method, fields); err == nil {
			rows, bad, err = c.bulk(ctx, method, q.Kind.ID, filter, union(needed, fields))
		}
	}
	if err != nil {
		return nil, bad, err
	}
	if !q.Peers {
		rows = ours(rows)
	}
	for _, r := range rows {
		list = append(list, q.Kind.record(r, fields))
	}
	return list, bad, nil
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// fieldsThere are those of the fields that this PLC has. A release that lacks one faults the whole call.
func (c *Client) fieldsThere(ctx context.Context, method string, fields []string) (has []string, err error) {
	for _, f := range fields {
		switch _, err := c.read(ctx, method, []int{}, []string{f}); { // of no row
		case err == nil:
			has = append(has, f)
		case !errors.Is(err, ErrInvalid):
			return nil, err
		}
	}
	return has, nil
}

// secretTags are words in the names of tags whose values are not shown.
var secretTags = regexp.MustCompile(`(?i)pass|key|secret|hmac|token|psk|wep|wpa|cert`)

// record is what may be shown of a row. What is not in the form of its field is left out.
func (k Kind) record(r row, fields []string) Record {
	out := Record{}
	for _, f := range k.Fields {
		if !slices.Contains(fields, f.Name) {
			continue
		}
		v := r[f.Name]
		if f.Name == "value" && secretTags.MatchString(r.str("tagname")) && v != nil && v != "" {
			out[f.Name] = hidden
			continue
		}
		out[f.Name] = f.shown(r, v)
	}
	return out
}

func (f Field) shown(r row, v any) any {
	var is bool
	switch f.Form {
	case FormTime:
		if at := r.time(f.Name); !at.IsZero() {
			return at.UTC()
		}
		return nil
	case FormNumbers:
		return r.ints(f.Name)
	case FormTexts:
		return r.strs(f.Name)
	case FormNumber:
		_, is = v.(int)
	case FormReal:
		if n, whole := v.(int); whole { // PHP sends a whole number so
			return float64(n)
		}
		_, is = v.(float64)
	case FormBool:
		_, is = v.(bool)
	case FormText:
		_, is = v.(string)
	}
	if !is {
		return nil
	}
	return v
}

// Read reads a record from JSON, each field in its form. Fields that are not of the kind are left out.
func (k Kind) Read(fields map[string]json.RawMessage) (Record, error) {
	out := Record{}
	for _, f := range k.Fields {
		text, there := fields[f.Name]
		if !there {
			continue
		}
		v, err := f.decode(text)
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", f.Name, k.Name, err)
		}
		out[f.Name] = v
	}
	return out, nil
}

func (f Field) decode(text json.RawMessage) (any, error) {
	if string(text) == "null" {
		return nil, nil
	}
	switch f.Form {
	case FormTime:
		return decoded[time.Time](text)
	case FormNumbers:
		return decoded[[]int](text)
	case FormTexts:
		return decoded[[]string](text)
	case FormNumber:
		return decoded[int](text)
	case FormReal:
		return decoded[float64](text)
	case FormBool:
		return decoded[bool](text)
	}
	return decoded[string](text)
}

func decoded[T any](text json.RawMessage) (any, error) {
	var v T
	err := json.Unmarshal(text, &v)
	return v, err
}
