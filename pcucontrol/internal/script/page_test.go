package script

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestThePageExplainsEveryKey(t *testing.T) {
	const path = "../../../docs/pcu.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, keys, begins := strings.Cut(string(text), "### Keys of a file")
	keys, _, ends := strings.Cut(keys, "| `lists` |")
	if !begins || !ends {
		t.Fatalf("%s has no section of keys", path)
	}
	keys += "`lists`"
	for _, form := range []any{Conversation{}, step{}, answer{}, meaning{}, states{}, page{}} {
		f := reflect.TypeOf(form)
		for i := range f.NumField() {
			if key := f.Field(i).Tag.Get("json"); !strings.Contains(keys, "`"+key+"`") {
				t.Errorf("%s does not explain %s of a %s", path, key, f.Name())
			}
		}
	}
}
