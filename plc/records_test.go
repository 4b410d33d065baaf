package plc_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

// recordsOf reads records by conditions and fields as they are typed.
func recordsOf(t *testing.T, c *plc.Client, kind string, conditions, fields []string) ([]plc.Record, []int, error) {
	t.Helper()
	k, err := plc.KindNamed(kind)
	if err != nil {
		t.Fatal(err)
	}
	q := plc.Query{Kind: k, Fields: fields}
	for _, text := range conditions {
		c, err := k.Condition(text)
		if err != nil {
			t.Fatal(err)
		}
		q.Conditions = append(q.Conditions, c)
	}
	return c.Records(t.Context(), q)
}

func TestRecordsAreReadByConditions(t *testing.T) {
	db, c := fleet(t)
	db.Set("Nodes", 2, "boot_state", "reinstall")
	db.Set("Nodes", 3, "last_contact", int(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).Unix()))
	db.Set("Nodes", 3, "pcu_ids", []any{5, 6})
	db.Set("Nodes", 7, "peer_id", 1)
	for text, want := range map[string]string{
		"":                                  "n1 n2 n3 n4 n5 n6",
		"boot_state=reinstall":              "n2",
		"boot_state!=boot":                  "n2",
		"hostname=n[3-5].example":           "", // PLC knows * alone
		"hostname=n*.example":               "n1 n2 n3 n4 n5 n6",
		"node_id>4":                         "n5 n6",
		"node_id<3 boot_state=boot":         "n1",
		"node_id=1 node_id=4":               "n1 n4",
		"node_id!=1 node_id!=4":             "n2 n3 n5 n6",
		"pcu_ids=6":                         "n3",
		"last_contact>2026-10-31":           "n3",
		"last_contact<2026-11-01":           "",
		"last_contact>2026-11-01T11:00:00Z": "n3",
		"hostname=n1.example":               "n1",
		"site_id=2":                         "",
	} {
		rows, _, err := recordsOf(t, c, "nodes", strings.Fields(text), []string{"hostname"})
		var names []string
		for _, r := range rows {
			name, _, _ := strings.Cut(fmt.Sprint(r["hostname"]), ".")
			names = append(names, name)
			if len(r) != 1 {
				t.Errorf("%s: %v has more than was asked for", text, r)
			}
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s: %q, not %q, %v", text, got, want, err)
		}
	}
}

func TestRecordsHaveTheFormsOfTheirFields(t *testing.T) {
	db, c := fleet(t)
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	db.Set("Nodes", 3, "last_contact", int(at.Unix()))
	db.Set("Nodes", 3, "pcu_ids", []any{5, 6})
	rows, _, err := recordsOf(t, c, "Node", []string{"node_id=3"}, nil)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	r := rows[0]
	if r["last_contact"] != at || !slices.Equal(r["pcu_ids"].([]int), []int{5, 6}) || r["last_boot"] != nil || r["site_id"] != 1 {
		t.Errorf("%v", r)
	}
	if _, there := r["version"]; there {
		t.Errorf("a field that this PLC lacks is there: %v", r)
	}
	if _, there := r["ssh_rsa_key"]; there {
		t.Errorf("a field that must be asked for is there: %v", r)
	}
}

func TestWhatIsSecretIsNeverRead(t *testing.T) {
	db, c := fleet(t)
	db.Set("Nodes", 1, "key", "t0psecret")
	db.Add("PCUs", fakeplc.Row{"pcu_id": 9, "site_id": 1, "hostname": "pcu1.example", "password": "t0psecret"})
	db.Add("NodeTags", fakeplc.Row{"node_id": 1, "tagname": "wifi_passphrase", "value": "t0psecret"})
	db.Add("NodeTags", fakeplc.Row{"node_id": 1, "tagname": "deployment", "value": "alpha"})
	shown := 0
	for _, k := range plc.Kinds() {
		var every []string
		for _, f := range k.Fields {
			every = append(every, f.Name)
		}
		for _, fields := range [][]string{nil, {"value"}, every} {
			if len(fields) == 1 && !slices.Contains(every, "value") {
				continue
			}
			rows, _, err := recordsOf(t, c, k.Name, nil, fields)
			if err != nil && !errors.Is(err, plc.ErrInvalid) { // this PLC may lack a field
				t.Errorf("%s: %v", k.Name, err)
			}
			if text := fmt.Sprint(rows); strings.Contains(text, "t0psecret") {
				t.Errorf("%s shows a secret: %s", k.Name, text)
			} else if strings.Contains(text, "[secret]") && strings.Contains(text, "alpha") {
				shown++
			}
		}
	}
	if shown == 0 {
		t.Error("no value of a tag was hidden, with others shown")
	}
	for kind, field := range map[string]string{"Nodes": "key", "nodes": "session", "PCUs": "password", "person": "verification_key"} {
		k, err := plc.KindNamed(kind)
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Condition(field + "=a*")
		if _, fieldErr := k.Field(field); err == nil || fieldErr == nil || !strings.Contains(err.Error(), "is secret") {
			t.Errorf("%s of %s: %v, %v", field, kind, err, fieldErr)
		}
	}
}

func TestARowThatPLCCannotSendCostsItselfAlone(t *testing.T) {
	db, c := fleet(t)
	db.Set("Nodes", 4, "last_contact", fakeplc.Poison)
	rows, bad, err := recordsOf(t, c, "nodes", nil, []string{"hostname", "last_contact"})
	if err != nil || len(rows) != 6 || !slices.Equal(bad, []int{4}) {
		t.Errorf("%d rows, bad %v, %v", len(rows), bad, err)
	}
}

func TestALostRoleIsNoShortList(t *testing.T) {
	db, c := fleet(t)
	db.SetRoles("pi")
	if rows, _, err := recordsOf(t, c, "persons", nil, nil); !errors.Is(err, plc.ErrNotAdmin) {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestWhatCannotBeAskedIsSaid(t *testing.T) {
	if _, err := plc.KindNamed("sessions"); err == nil || !strings.Contains(err.Error(), "there are Interfaces, NodeGroups") {
		t.Errorf("an unknown kind: %v", err)
	}
	k, err := plc.KindNamed("node")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"hostnam=n1":            "Nodes have no field \"hostnam\": there are node_id, hostname",
		"hostname":              "is no condition: write FIELD=VALUE",
		"|pcu_ids=5":            "is no condition",
		"hostname<n1":           "is no number and no time",
		"site_id=princeton":     "site_id is a number, and \"princeton\" is none",
		"site_id=4294967296":    "site_id is a number",
		"verified=maybe":        "verified is yes or no",
		"last_contact>tomorrow": "is a time as 2026-11-20",
	} {
		if _, err := k.Condition(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, c := fleet(t)
	if _, _, err := recordsOf(t, c, "nodes", []string{"hostname=n*", "hostname=m*"}, nil); err == nil || !strings.Contains(err.Error(), "stands alone") {
		t.Errorf("two patterns: %v", err)
	}
}
