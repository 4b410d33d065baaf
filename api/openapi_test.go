package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
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
