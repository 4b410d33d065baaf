package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/policy"
)

func TestAPageExplainsWhatTheCommandLineExplains(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anOperator)
	for page, target := range map[string]string{
		"/nodes/planetlab1.huji.example": "planetlab1.huji.example", "/sites/huji": "huji", "/pcus/1003": "pcu.huji.example",
		"/issues/nodedown/planetlab1.huji.example": "nodedown/planetlab1.huji.example",
	} {
		if _, body := v.get(page); !strings.Contains(body, `href="`+strings.ReplaceAll(explainURL(target), "&", "&amp;")+`"`) {
			t.Errorf("%s does not lead to why", page)
		}
		code, body := v.get(explainURL(target))
		for _, want := range []string{"What was seen", "none can be asked", "Done lately", `href="` + page + `"`} {
			if code != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("why of %s: %d, without %q", target, code, want)
			}
		}
	}
	_, body := v.get(explainURL("planetlab1.huji.example"))
	for _, want := range []string{"no ssh: timeout", "offline for 1.3 d", "the site was written to a day ago; it waits", "outlet cycled"} {
		if !strings.Contains(body, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	for path, want := range map[string]int{
		"/explain": http.StatusNotFound, explainURL("no.example"): http.StatusNotFound, explainURL("odd/planetlab1.huji.example"): http.StatusNotFound,
		explainURL("planetlab1.huji.example") + "&act=dance": http.StatusBadRequest, explainURL("huji") + "&act=reboot": http.StatusBadRequest,
		explainURL("planetlab1.huji.example") + "&act=reboot&at=yesterday": http.StatusBadRequest,
		explainURL("planetlab1.huji.example") + "&act=reboot":              http.StatusBadRequest, // nobody can be asked
	} {
		if code, _ := v.get(path); code != want {
			t.Errorf("%s: %d", path, code)
		}
	}
	user := f.as(t, aUser) // of tokyo, who may see, and not what was done
	if code, body := user.get(explainURL("planetlab2.tokyo.example")); code != http.StatusOK || strings.Contains(body, "Done lately") {
		t.Errorf("of his own site: %d", code)
	}
	if code, body := user.get(explainURL("planetlab1.huji.example")); code != http.StatusNotFound || strings.Contains(body, "timeout") {
		t.Errorf("of a foreign site: %d", code)
	}
}

// forbids is a gate that forbids everything, and says when that ends.
func forbids(_ workflow.Context, in activities.WhyNotRequest) (activities.WhyNotAnswer, error) {
	no := policy.Decision{Reason: "it is in somebody's hands " + evil, Until: noon.Add(3 * time.Hour)}
	return activities.WhyNotAnswer{WhyNotRequest: in, Check: "boot state", Reason: no.Reason, Until: no.Until,
		Checks: []policy.CheckAnswer{{Name: "switch", Decision: policy.Decision{Do: true}}, {Name: "boot state", Decision: no}}}, nil
}

// theGateIsAsked needs a worker that serves forbids.
func theGateIsAsked(t *testing.T, v *visitor) {
	t.Helper()
	const target = "planetlab1.huji.example"
	for _, path := range []string{explainURL(target), explainURL("huji"),
		"/explain?" + url.Values{"target": {target}, "act": {"reboot"}, "at": {"3d"}}.Encode()} {
		code, body := v.get(path)
		for _, want := range []string{"boot state</span>: it is in somebody&#39;s hands", "not before", "passes", "forbids"} {
			if code != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%s: %d, without %q: %s", path, code, want, body)
			}
		}
		if strings.Contains(body, "<script>alert") {
			t.Errorf("%s has what the gate says as markup", path)
		}
	}
}

func TestEveryActMayBeAskedAboutOfItsOwnKindAlone(t *testing.T) {
	for kind, want := range map[string]string{
		answers.KindNode: "disable notify open reboot reinstall repair", answers.KindPCU: "notify open", answers.KindSite: "notify open penalize",
	} {
		if got := strings.Join(answers.ActsOf(kind), " "); got != want {
			t.Errorf("of a %s: %s", kind, got)
		}
	}
}
