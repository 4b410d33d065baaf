package inventory

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// The schema that is committed is the one of this build, and knows every key that the parser knows.
func TestTheSchemaIsTheOneOfThisBuild(t *testing.T) {
	text, err := os.ReadFile("../docs/inventory.schema.json")
	if err != nil || string(text) != string(Schema()) {
		t.Errorf("docs/inventory.schema.json is another: run `make docs` (%v)", err)
	}
	var any map[string]any
	if err := json.Unmarshal(Schema(), &any); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"exempt_until", "bmc", "host_key", "boot_state", "outlet", "password"} {
		if !strings.Contains(string(Schema()), `"`+key+`": {`) {
			t.Errorf("it has no %s", key)
		}
	}
}
