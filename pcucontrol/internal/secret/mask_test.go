package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/xmltext"
)

func TestAPasswordIsHiddenHoweverItIsWritten(t *testing.T) {
	numeric := func(form string) func(string) string {
		return func(s string) string {
			var b strings.Builder
			for _, r := range s {
				fmt.Fprintf(&b, form, r)
			}
			return b.String()
		}
	}
	for _, password := range []string{"s3cret-Pw", `p&ss "w<rd>+/%`, "pässwörd", "hunter22", "two words", "clé 𝄞 x",
		`back\slash'`} {
		query := url.QueryEscape(password)
		quoted, _ := json.Marshal(password) // a string has no error
		for name, text := range map[string]string{
			"as it is":                            password,
			"in capitals":                         strings.ToUpper(password),
			"in a form":                           url.Values{"pwd": {password}}.Encode(),
			"in an address":                       url.PathEscape(password),
			"in an address, with small digits":    strings.ToLower(query),
			"in a form as browsers' scripts do":   strings.ReplaceAll(query, "+", "%20"),
			"all of it in percents":               percents(password),
			"in base64":                           base64.StdEncoding.EncodeToString([]byte(password)),
			"in Basic authorization":              base64.StdEncoding.EncodeToString([]byte("admin:" + password)),
			"after a name of another length":      base64.StdEncoding.EncodeToString([]byte("root:" + password)),
			"after a name of yet another length":  base64.StdEncoding.EncodeToString([]byte("apc:" + password)),
			"in the base64 of addresses, in more": base64.URLEncoding.EncodeToString([]byte("u:" + password + "\nand more")),
			"in XML":                              xmltext.Escape(password),
			"in JSON":                             strings.Trim(string(quoted), `"`),
			"quoted":                              strconv.QuoteToASCII(password),
			"in decimal entities":                 numeric("&#%d;")(password),
			"in hexadecimal entities":             numeric("&#x%X;")(password),
			"in entities with noughts":            numeric("&#%04d;")(password),
			"in hexadecimal":                      hex.EncodeToString([]byte(password)),
			"in hexadecimal, in pairs":            fmt.Sprintf("% X", password),
			"in hexadecimal, with colons":         strings.ReplaceAll(fmt.Sprintf("% x", password), " ", ":"),
		} {
			text = "before " + text + " after"
			got := secret.Mask(text, password)
			if !strings.Contains(got, secret.Stars) || !strings.HasPrefix(got, "before ") ||
				!strings.HasSuffix(got, " after") {
				t.Errorf("%q %s: %q gives %q", password, name, text, got)
			}
			left := strings.Trim(
				strings.NewReplacer("before", "", "after", "", secret.Stars, "", "pwd=", "").Replace(got),
				" \"",
			)
			if len(left) > 20 { // what surrounds it in base64
				t.Errorf("%q %s: %q is left of %q", password, name, left, text)
			}
		}
	}
}

func percents(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func TestWhatIsNoPasswordIsShown(t *testing.T) {
	const text = "RPC3-NC> Status\n 3)...Outlet 3 : On"
	for _, password := range []string{"", "s3cret-Pw"} {
		if got := secret.Mask(text, password); got != text {
			t.Errorf("%q gives %q", password, got)
		}
	}
}

func TestAPasswordIsHiddenInFormsXMLAndJSON(t *testing.T) {
	const password = `a"b<c&d e`
	for _, text := range []string{
		"plain " + password + " plain", `<LOGIN PASSWORD="` + xmltext.Escape(password) + `">`,
		`{"Password":"a\"b\u003cc\u0026d e"}`, "pwd=a%22b%3Cc%26d+e&x=y",
	} {
		if got := secret.Mask(text, password); got == text || strings.Contains(got, "d e") ||
			strings.Contains(got, "d+e") {
			t.Errorf("%q shows", got)
		}
	}
}
