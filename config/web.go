package config

import "net/url"

// checkWeb finds what is wrong with the section web.
func (c *Config) checkWeb(check func(ok bool, path, format string, args ...any), oneOf func(path, value string, allowed ...string)) {
	w := c.Web
	check(w.Listen == "" || isPlace(w.Listen), "web.listen", "%q is neither host:port nor unix:/path/to/socket", w.Listen)
	check(w.Listen == "" || w.Listen != c.HTTP.Listen || isFree(w.Listen), "web.listen", "is http.listen already: give the pages a port of their own")
	check(w.Listen == "" || isLoopback(w.Listen) || c.HTTP.safe(), "web.listen",
		"needs http.tls_cert_file where others than this machine reach it, since passwords must not travel in the clear, or http.behind_proxy where a proxy sees to that")
	check(w.URL == "" || isHTTP(w.URL), "web.url", "must be an http or https URL without user and password")
	check(w.URL == "" || !isHTTP(w.URL) || travelsSafely(w.URL), "web.url", "must be https, unless it is on this machine")
	oneOf("web.public", w.Public, PublicOff, PublicStatus, PublicFull)
	check(w.TemporalUI == "" || isHTTP(w.TemporalUI), "web.temporal_ui", "must be an http or https URL without user and password")
	for _, a := range w.Operators {
		check(isMail(a), "web.operators", "%q is not a mail address", a)
	}
	for _, a := range w.Admins {
		check(isMail(a), "web.admins", "%q is not a mail address", a)
	}
	check(w.OIDCIssuer == "" || isHTTP(w.OIDCIssuer), "web.oidc_issuer", "must be an http or https URL without user and password")
	check(w.OIDCIssuer == "" || !isHTTP(w.OIDCIssuer) || travelsSafely(w.OIDCIssuer), "web.oidc_issuer", "must be https, unless it is on this machine")
	check((w.OIDCIssuer == "") == (w.OIDCClientID == ""), "web.oidc_client_id", "goes together with web.oidc_issuer")
	check(w.OIDCIssuer == "" || w.URL != "", "web.url", "must be set when web.oidc_issuer is, since the provider sends people back there")
}

// isFree reports whether an address leaves the port to the system, so that two of it are two ports.
func isFree(address string) bool {
	u, err := url.Parse("//" + address)
	return err == nil && u.Port() == "0"
}

// Secure reports whether people reach the pages over TLS, so that cookies may be kept from travelling otherwise. A URL that says
// http is one of this machine.
func (c *Config) Secure() bool {
	if u, err := url.Parse(c.Web.URL); err == nil && u.Scheme != "" {
		return u.Scheme == "https"
	}
	return c.HTTP.safe()
}
