package bootman_test

import (
	"testing"

	"github.com/planetlab/monitor/bootman"
)

func TestEveryActionSaysWhatItDoes(t *testing.T) {
	for _, a := range bootman.Actions() {
		if a.About() == "" {
			t.Errorf("%s does not say what it does", a)
		}
	}
	if about := bootman.Action("dance").About(); about != "" {
		t.Errorf("an action that is none does this: %s", about)
	}
}
