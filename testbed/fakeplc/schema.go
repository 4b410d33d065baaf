package fakeplc

import "slices"

// kind is the type of a column. PLC checks it wherever a value comes in: the int 1 is no boolean, and the string "3" no
// id.
type kind int

const (
	integer kind = iota
	text
	boolean
	integers
	texts
	real
)

// column is one field of a table.
type column struct {
	kind kind
	null bool // nil may stand in a filter for it
	set  bool // Update methods may set it
	note string
}

// What a column's note says.
const (
	adminSets  = "admin sets"  // silently dropped from an update by anybody without the role
	adminReads = "admin reads" // left out of the answer to anybody without the role
)

// table says which column is a row's id, which its name, and what others there are.
type table struct {
	id, name string
	columns  map[string]column
}

// bootStates are the names of today; old ones are a fault.
var bootStates = []string{"boot", "safeboot", "failboot", "install", "reinstall", "upgrade", "disabled"}

// shippedTagTypes are the tag types that a new PLC has, of those that Monitor cares for.
var shippedTagTypes = []string{"enabled", "system", "exempt_slice_until", "vref", "initscript"}

// tables is the part of PLC's schema that the testbed has.
var tables = map[string]table{
	"Sites": {"site_id", "login_base", map[string]column{
		"site_id":           {},
		"login_base":        {kind: text, set: true},
		"name":              {kind: text, set: true},
		"abbreviated_name":  {kind: text, set: true},
		"enabled":           {kind: boolean, set: true, note: adminSets},
		"max_slices":        {set: true, note: adminSets},
		"date_created":      {},
		"latitude":          {kind: real, null: true, set: true},
		"longitude":         {kind: real, null: true, set: true},
		"last_updated":      {},
		"ext_consortium_id": {null: true, set: true, note: adminSets},
		"peer_id":           {null: true},
	}},
	"Nodes": {"node_id", "hostname", map[string]column{
		"node_id":               {},
		"hostname":              {kind: text, set: true},
		"site_id":               {},
		"boot_state":            {kind: text, set: true},
		"run_level":             {kind: text},
		"model":                 {kind: text, null: true, set: true},
		"key":                   {kind: text, set: true, note: adminReads},
		"ssh_rsa_key":           {kind: text, set: true},
		"last_contact":          {null: true},
		"last_boot":             {null: true},
		"last_download":         {null: true},
		"last_pcu_reboot":       {null: true},
		"last_pcu_confirmation": {null: true},
		"pcu_ids":               {kind: integers},
		"ports":                 {kind: integers},
		"interface_ids":         {kind: integers},
		"slice_ids_whitelist":   {kind: integers},
		"peer_id":               {null: true},
	}},
	"PCUs": {"pcu_id", "hostname", map[string]column{
		"pcu_id":   {},
		"site_id":  {},
		"hostname": {kind: text},
		"ip":       {kind: text},
		"protocol": {kind: text, null: true},
		"username": {kind: text, null: true},
		"password": {kind: text, null: true},
		"model":    {kind: text, null: true},
		"notes":    {kind: text, null: true},
		"node_ids": {kind: integers},
		"ports":    {kind: integers},
	}},
	"Persons": {"person_id", "email", map[string]column{
		"person_id":  {},
		"email":      {kind: text},
		"first_name": {kind: text},
		"last_name":  {kind: text},
		"enabled":    {kind: boolean},
		"roles":      {kind: texts},
		"role_ids":   {kind: integers},
		"site_ids":   {kind: integers},
		"peer_id":    {null: true},
	}},
	"Slices": {"slice_id", "name", map[string]column{
		"slice_id": {},
		"name":     {kind: text},
		"site_id":  {},
		"expires":  {},
		"node_ids": {kind: integers},
		"peer_id":  {null: true},
	}},
	"Interfaces": {"interface_id", "ip", map[string]column{
		"interface_id": {},
		"node_id":      {},
		"ip":           {kind: text, null: true},
		"is_primary":   {kind: boolean},
		"method":       {kind: text},
		"type":         {kind: text},
		"mac":          {kind: text, null: true},
		"gateway":      {kind: text, null: true},
		"network":      {kind: text, null: true},
		"broadcast":    {kind: text, null: true},
		"netmask":      {kind: text, null: true},
		"dns1":         {kind: text, null: true},
		"dns2":         {kind: text, null: true},
	}},
	"NodeGroups": {"nodegroup_id", "groupname", map[string]column{
		"nodegroup_id": {},
		"groupname":    {kind: text},
		"tag_type_id":  {},
		"tagname":      {kind: text},
		"value":        {kind: text, null: true},
		"node_ids":     {kind: integers},
	}},
	// PLC declares no column of a slice tag as one that may be nil, though it answers nil in node_id and nodegroup_id.
	"SliceTags":  tags("slice", map[string]column{"node_id": {}, "nodegroup_id": {}}),
	"NodeTags":   tags("node", nil),
	"SiteTags":   tags("site", nil),
	"PersonTags": tags("person", nil),
	"TagTypes": {"tag_type_id", "tagname", map[string]column{
		"tag_type_id": {},
		"tagname":     {kind: text},
		"description": {kind: text},
		"category":    {kind: text},
	}},
}

func tags(of string, more map[string]column) table {
	t := table{of + "_tag_id", "", map[string]column{
		of + "_tag_id": {},
		of + "_id":     {},
		"tagname":      {kind: text},
		"value":        {kind: text},
	}}
	for k, c := range more {
		t.columns[k] = c
	}
	return t
}

// fits reports whether a value that came in has the type of the column.
func (c column) fits(v any) bool {
	switch v := v.(type) {
	case int:
		return c.kind == integer
	case float64:
		return c.kind == real
	case string:
		return c.kind == text
	case bool:
		return c.kind == boolean
	case []any:
		element := map[kind]kind{integers: integer, texts: text}
		of, list := element[c.kind]
		return list && !slices.ContainsFunc(v, func(e any) bool { return !(column{kind: of}).fits(e) })
	}
	return false
}

// blank is what a column holds that nobody has filled.
func (c column) blank() any {
	if c.kind == integers || c.kind == texts {
		return []any{}
	}
	return nil
}
