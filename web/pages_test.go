package web

import (
	"encoding/csv"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// everyPage is a path of each kind of page.
func everyPage() map[string]string {
	return map[string]string{
		"fleet": "/", "issues": "/issues", "closed issues": "/issues?closed=1", "issue": "/issues/nodedown/planetlab1.huji.example",
		"nodes": "/nodes", "node": "/nodes/planetlab1.huji.example", "boot log": "/nodes/planetlab3.princeton.example/boot-log",
		"sites": "/sites", "site": "/sites/huji", "pcus": "/pcus", "pcu": "/pcus/1003", "ledger": "/ledger",
		"ledger entry": "/ledger/entry?key=site%2Fhuji%2Fmail%2F1", "agenda": "/agenda", "sequences": "/sequences", "audit": "/audit",
		"left alone": "/exempt", "legend": "/legend", "status": "/status",
	}
}

func testEveryPageIsShown(t *testing.T, f *fixture) {
	v := f.as(t, anAdmin)
	for name, path := range everyPage() {
		code, body := v.get(path)
		if code != http.StatusOK || !strings.Contains(body, "<h1") || !strings.Contains(body, "</html>") {
			t.Errorf("%s: %d\n%s", name, code, body)
		}
		if strings.Contains(body, "/assets/missing/") || strings.Contains(body, "%!") || strings.Contains(body, "pcu-s3cret") {
			t.Errorf("%s names an asset that is none, prints badly, or shows a password", name)
		}
	}
	for path, want := range map[string]string{
		"/":       `planetlab1.huji.example`,
		"/issues": `nodedown/planetlab1.huji.example`,
		"/issues/nodedown/planetlab1.huji.example": `send email`,
		"/nodes/planetlab1.huji.example":           `no ssh: timeout`,
		"/sites/huji":                              `tech@huji.example`,
		"/pcus/1003":                               `planetlab1.huji.example`,
		"/agenda":                                  `send email`,
		"/exempt":                                  `their building is closed`,
	} {
		if _, body := v.get(path); !strings.Contains(body, want) {
			t.Errorf("%s does not tell %q", path, want)
		}
	}
}

func testUnknownThingsAreNotFound(t *testing.T, f *fixture) {
	v := f.as(t, anAdmin)
	for _, path := range []string{"/nodes/no.example", "/sites/nosuch", "/pcus/77", "/pcus/x", "/issues/nodedown/no.example", "/issues/odd/x",
		"/ledger/entry?key=no", "/nowhere", "/nodes/planetlab1.huji.example/boot-log", "/assets/0/style.css", "/assets/../web.go", "/jump?q=nosuchname"} {
		if code, body := v.get(path); code != http.StatusNotFound || strings.Contains(body, "package web") {
			t.Errorf("%s: %d", path, code)
		}
	}
}

var rowLink = regexp.MustCompile(`href="/nodes/([^"/?]+)"`)

func testAListTakesTheExpressionsOfTheCommandLine(t *testing.T, f *fixture) {
	v := f.as(t, anAdmin)
	for query, want := range map[string][]string{
		"select=site%3Dhuji":                      {"planetlab1.huji.example", "planetlab2.huji.example"},
		"select=status%3Ddown&not-in=site%3Dhuji": {"planetlab1.evil.example", "planetlab2.tokyo.example", "planetlab4.sydney.example"},
		"select=planetlab1.tokyo.example":         {"planetlab1.tokyo.example"},
		"select=status%20%3D%3D%20%22failboot%22": {"planetlab3.princeton.example"},
	} {
		code, body := v.get("/nodes?" + query)
		var got []string
		for _, m := range rowLink.FindAllStringSubmatch(body, -1) {
			got = append(got, m[1])
		}
		slices.Sort(got)
		if code != http.StatusOK || !slices.Equal(got, want) {
			t.Errorf("%s: %d, %v", query, code, got)
		}
	}
	for query, want := range map[string]string{
		"select=stauts%3Ddown":      "did you mean status",
		"select=site%3D%3D":         "column",
		"fields=nosuch":             "nosuch",
		"sort=nosuch":               "nosuch",
		"select=file%3A/etc/passwd": "for the command line only",
	} {
		code, body := v.get("/nodes?" + query)
		if code != http.StatusBadRequest || !strings.Contains(body, want) || rowLink.MatchString(body) {
			t.Errorf("%s: %d, and it shows rows or does not say %q", query, code, want)
		}
	}
	if code, body := v.get("/nodes?select=site%3Dhuji%2Cstatus%3Dgood"); code != http.StatusOK || !strings.Contains(body, "Nothing is selected.") {
		t.Errorf("an expression that selects nothing: %d", code)
	}
}

func testColumnsAndOrderStandInTheAddress(t *testing.T, f *fixture) {
	v := f.as(t, anAdmin)
	_, text := v.get("/nodes?fields=name&fields=site,kernel&sort=-name&select=site%3Dhuji|tokyo&format=csv")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 7 || !slices.Equal(rows[0], []string{"name", "site", "kernel"}) || rows[1][0] != "planetlab4.tokyo.example" {
		t.Errorf("%v %v", rows, err)
	}
	_, text = v.get("/sites?fields=name&select=evil&format=csv")
	if rows, err := csv.NewReader(strings.NewReader(text)).ReadAll(); err != nil || len(rows) != 2 || rows[1][0] != evil {
		t.Errorf("%q %v", text, err)
	}
	if got := plain("=1+2"); got != "'=1+2" {
		t.Errorf("a formula stays one: %q", got)
	}
}

func testTheJumpBoxFindsThings(t *testing.T, f *fixture) {
	v := f.as(t, anAdmin)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for q, want := range map[string]string{
		"planetlab1.huji.example": "/nodes/planetlab1.huji.example", "huji": "/sites/huji", "pcu.huji.example": "/pcus/1003", "": "/",
		"nodedown/planetlab1.huji.example": "/issues/nodedown/planetlab1.huji.example", "*.huji.example": "/nodes?select=%2A.huji.example",
		"PLANETLAB1.huji.example": "/nodes/planetlab1.huji.example", "3.princ": "/nodes/planetlab3.princeton.example",
		"status=down": "/nodes?select=status%3Ddown", "//evil.example/": "/nodes?",
	} {
		resp, err := v.http.Get(v.base + "/jump?q=" + strings.NewReplacer("*", "%2A", "=", "%3D", "/", "%2F").Replace(q))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if to := resp.Header.Get("Location"); to != want && q != "//evil.example/" || strings.HasPrefix(to, "//") {
			t.Errorf("%q leads to %q (%d)", q, to, resp.StatusCode)
		}
	}
}
