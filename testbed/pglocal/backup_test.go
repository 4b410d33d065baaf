package pglocal

import (
	"os"
	"strings"
	"testing"
)

// The scenarios PostgresRestored and PostgresForgot of the smoke test restore a backup in the midst of issues, and see
// that nothing is doubled. They prove the documented commands only as long as these are the same.
func TestOperatorsAreToldTheCommandsThatTheScenariosUse(t *testing.T) {
	page, err := os.ReadFile("../../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"pg_dump " + strings.Join(dumpFlags(), " ") + " --file=monitor.dump --dbname=",
		"pg_restore " + strings.Join(restoreFlags(), " ") + " --dbname=",
		"-c '" + strings.Join(emptied("monitor"), "' -c '"),
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/operation.md does not say: %s", want)
		}
	}
}
