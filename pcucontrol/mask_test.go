package pcucontrol

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

func TestAPasswordIsHiddenHoweverItIsWritten(t *testing.T) {
	for _, password := range []string{"s3cret-Pw", `p&ss "w<rd>+/%`, "pässwörd", "hunter22"} {
		for name, text := range map[string]string{
			"as it is":                            password,
			"in a form":                           url.Values{"pwd": {password}}.Encode(),
			"in an address":                       url.PathEscape(password),
			"in an address, with small digits":    strings.ToLower(url.QueryEscape(password)),
			"in base64":                           base64.StdEncoding.EncodeToString([]byte(password)),
			"in Basic authorization":              base64.StdEncoding.EncodeToString([]byte("admin:" + password)),
			"after a name of another length":      base64.StdEncoding.EncodeToString([]byte("root:" + password)),
			"after a name of yet another length":  base64.StdEncoding.EncodeToString([]byte("apc:" + password)),
			"in the base64 of addresses, in more": base64.URLEncoding.EncodeToString([]byte("u:" + password + "\nand more")),
		} {
			if name == "in an address, with small digits" && strings.ToLower(password) != password {
				continue // only the digits are small on the wire
			}
			text = "before " + text + " after"
			got := mask(text, password)
			if !strings.Contains(got, stars) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("%q %s: %q", password, name, got)
			}
			for _, w := range writings(password) {
				if strings.Contains(got, w) {
					t.Errorf("%q %s: %q holds %q", password, name, got, w)
				}
			}
		}
	}
}

func TestWhatIsNoPasswordIsShown(t *testing.T) {
	const text = "RPC3-NC> Status\n 3)...Outlet 3 : On"
	for _, password := range []string{"", "s3cret-Pw"} {
		if got := mask(text, password); got != text {
			t.Errorf("%q gives %q", password, got)
		}
	}
}
