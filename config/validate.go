package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/listen"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/selection"
)

// The values of mail.tls.
const (
	TLSNone     = "none"
	TLSStartTLS = "starttls"
	TLSWrapped  = "tls"
)

// The values of pcu.clear_text.
const (
	ClearTextRefuse = "refuse" // no password leaves in the clear
	ClearTextRecord = "record" // not to a PCU that ever showed something better, nor where its record says so
	ClearTextAllow  = "allow"
)

// leastRetention is how far back decisions may look: people's steps take weeks.
const leastRetention = 60 * policyDay

// problem is one thing wrong with one setting. Its text never holds the value of a secret.
type problem struct{ path, text string }

// at makes the problem an error that begins with the place that set the value, if any place did.
func (p problem) at(place string) error {
	switch place {
	case "":
		return fmt.Errorf("%s: %s", p.path, p.text)
	case "--set " + p.path:
		return fmt.Errorf("%s: %s", place, p.text)
	}
	return fmt.Errorf("%s: %s: %s", place, p.path, p.text)
}

// Validate checks that every setting can be meant, without asking which settings a program needs.
func (c *Config) Validate() error {
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, p.at(""))
	}
	return errors.Join(errs...)
}

// problems finds all that is wrong, in the order of the file.
func (c *Config) problems() []problem {
	var found []problem
	check := func(ok bool, path, format string, args ...any) {
		if !ok {
			found = append(found, problem{path, fmt.Sprintf(format, args...)})
		}
	}
	positive := func(path string, d time.Duration) { check(d > 0, path, "must be above zero, not %s", d) }
	oneOf := func(path, value string, allowed ...string) {
		check(slices.Contains(allowed, value), path, "must be %s, not %q", strings.Join(allowed, ", "), value)
	}
	address := func(path, value string) {
		check(value == "" || isAddress(value), path, "%q is not host:port", value)
	}
	person := func(path, value string) {
		check(value == "" || isMail(value), path, "%q is not a mail address", value)
	}

	oneOf("mode", string(c.Mode), string(ModeObserve), string(ModeAct))
	check(c.PLC.URL == "" || isHTTP(c.PLC.URL), "plc.url", "must be an http or https URL without user and password")
	oneOf("inventory.source", c.Inventory.Source, InventoryPLC, InventoryFile, InventoryAnsible)
	c.Inventory.problems(check, slices.Sorted(maps.Keys(inventory.Variables())))
	positive("plc.timeout", c.PLC.Timeout)
	check(c.PLC.Cache >= 0, "plc.cache", "must not be negative")
	check(c.Database.URL == "" || isPostgres(c.Database.URL), "database.url", "must begin with postgres:// or postgresql://")

	address("temporal.address", c.Temporal.Address)
	check((c.Temporal.TLSCertFile == "") == (c.Temporal.TLSKeyFile == ""), "temporal.tls_cert_file", "goes together with temporal.tls_key_file")
	tls := c.Temporal.TLSCAFile + c.Temporal.TLSCertFile + c.Temporal.TLSServerName
	check(c.Temporal.TLS || tls == "", "temporal.tls", "must be true when another temporal.tls_ setting is set")
	check(c.Temporal.TLS || c.Temporal.APIKey == "", "temporal.tls", "must be true, since an API key must not travel in the clear")

	check(len(c.Probe.SSHPorts) > 0, "probe.ssh_ports", "must name at least one port")
	for _, port := range c.Probe.SSHPorts {
		check(isPort(port), "probe.ssh_ports", "%d is not a port", port)
	}
	for _, port := range c.Probe.OpenPorts {
		check(isPort(port), "probe.open_ports", "%d is not a port", port)
	}
	check(len(c.Probe.Facts) <= probe.MostFacts, "probe.facts", "has %d facts, and may have %d", len(c.Probe.Facts),
		probe.MostFacts)
	for name, command := range c.Probe.Facts {
		why := probe.Fact{Name: name, Command: command}.Problem()
		check(why == "", "probe.facts", "%s: %s", name, why)
	}
	c.Sources.problems(check, c.Probe.Facts)
	for logical, actual := range c.Probe.PortMap {
		check(isPort(logical) && isPort(actual), "probe.port_map", "%d: %d is not a pair of ports", logical, actual)
	}
	positive("probe.timeout", c.Probe.Timeout)
	check(c.Probe.Tries >= 1, "probe.tries", "must be at least 1, not %d", c.Probe.Tries)
	check(c.Probe.Parallel >= 1, "probe.parallel", "must be at least 1, not %d", c.Probe.Parallel)
	check(c.Probe.Batch >= 1, "probe.batch", "must be at least 1, not %d", c.Probe.Batch)
	address("probe.resolver", c.Probe.Resolver)

	positive("pcu.connect_timeout", c.PCU.ConnectTimeout)
	positive("pcu.operation_timeout", c.PCU.OperationTimeout)
	for _, name := range c.PCU.Legacy {
		check(strings.TrimSpace(name) != "", "pcu.legacy", "must not hold an empty name")
	}

	oneOf("pcu.clear_text", c.PCU.ClearText, ClearTextRefuse, ClearTextRecord, ClearTextAllow)
	for _, text := range c.PCU.Networks {
		_, err := netip.ParsePrefix(text)
		check(err == nil, "pcu.networks", "%q is no network: it looks like 10.1.0.0/16", text)
	}

	address("mail.smtp", c.Mail.SMTP)
	person("mail.from", c.Mail.From)
	person("mail.reply_to", c.Mail.ReplyTo)
	person("mail.test_address", c.Mail.TestAddress)
	check(c.Mail.Pages == "" || isHTTP(c.Mail.Pages), "mail.pages", "must be an http or https URL without user and password")
	for _, a := range c.Mail.ProbesFrom {
		_, err := netip.ParseAddr(a)
		check(err == nil, "mail.probes_from", "%q is no IP address", a)
	}
	for _, a := range c.Mail.Admins {
		person("mail.admins", a)
	}
	oneOf("mail.tls", c.Mail.TLS, TLSNone, TLSStartTLS, TLSWrapped)
	oneOf("mail.mode", c.Mail.Mode, MailLive, MailTest)
	check(c.MailMode() != MailTest || c.Mail.TestAddress != "", "mail.test_address", "must be set when mail.mode is test")
	check((c.Mail.Username == "") == (c.Mail.Password == ""), "mail.username", "goes together with mail.password")
	check(c.Mail.TLS != TLSNone || c.Mail.Password == "" || isLoopback(c.Mail.SMTP), "mail.tls",
		"must not be none when there is a password, unless the mail server is on this machine")
	positive("mail.timeout", c.Mail.Timeout)

	for name, text := range c.Groups {
		_, err := selection.Compile(selection.Nodes(nil), text, selection.Options{Groups: c.Groups})
		check(err == nil, "groups", "%s: %v", name, err)
	}

	for name, text := range c.Rules {
		check(ruleName.MatchString(name), "rules", "%q: a name has small letters, digits and underscores, at most 40", name)
		s, err := selection.Compile(selection.Nodes(nil), text, selection.Options{Groups: c.Groups})
		check(err == nil, "rules", "%s: %v", name, err)
		check(err != nil || !s.AsksWhatIsKnown(), "rules", "%s: a rule must not ask whether something is known, or it would "+
			"hold for all nodes where a source is away", name)
	}

	check(c.RT.URL == "" || isHTTP(c.RT.URL), "rt.url", "must be an http or https URL without user and password")
	check(c.RT.URL == "" || c.RT.Token != "", "rt.token", "must be set when rt.url is")
	check(c.RT.URL == "" || c.RT.Queue != "", "rt.queue", "must be set when rt.url is")
	check(c.RT.URL != "" || c.RT.Token == "", "rt.url", "must be set when rt.token is")
	check(c.RT.URL == "" || !isHTTP(c.RT.URL) || travelsSafely(c.RT.URL), "rt.url", "must be https, since the token must not travel in the clear, unless it is on this machine")
	positive("rt.timeout", c.RT.Timeout)
	check(c.Webhook.URL == "" || isHTTP(c.Webhook.URL.Reveal()), "webhook.url", "must be an http or https URL without user and password")
	positive("webhook.timeout", c.Webhook.Timeout)
	for _, text := range c.Alerts.Rules {
		_, err := ParseAlertRule(text)
		check(err == nil, "alertmanager.rules", "%v", err)
	}
	check(len(c.Alerts.Rules) == 0 || c.HTTP.Listen != "", "alertmanager.rules", "need http.listen")
	check(len(c.Alerts.Rules) == 0 || !c.HTTP.open() || c.Alerts.Token != "", "alertmanager.token",
		"must be set where others than this machine reach http.listen, or anybody may open issues")
	check(len(c.Alerts.Rules) == 0 || !c.HTTP.open() || c.HTTP.safe(), "alertmanager.rules",
		"need http.tls_cert_file where others than this machine reach http.listen, since the token must not travel in the clear, or http.behind_proxy where a proxy sees to that")

	for _, p := range c.Policy.Problems() {
		found = append(found, problem{p.Key, p.Text})
	}
	check(c.Sweep.Every > 0, "sweep.every", "must be above zero")
	check(c.Sweep.Jitter < c.Sweep.Every, "sweep.jitter", "must be shorter than sweep.every")
	for path, keep := range map[string]time.Duration{"retention.history": c.Retain.History, "retention.ledger": c.Retain.Ledger,
		"retention.stories": c.Retain.Stories, "retention.logs": c.Retain.Logs} {
		check(keep == 0 || keep >= leastRetention, path, "must be 60d or more, since decisions look back as far, or 0 for ever")
	}
	check(!c.HTTP.BootLogs || c.HTTP.Listen != "", "http.listen", "must be set when http.boot_logs is true")
	check(c.HTTP.Listen == "" || isPlace(c.HTTP.Listen), "http.listen", "%q is neither host:port nor unix:/path/to/socket", c.HTTP.Listen)
	check(c.Tracing.URL == "" || isHTTP(c.Tracing.URL), "tracing.url", "must be an http or https URL without user and password")
	check(c.Tracing.Share >= 0 && c.Tracing.Share <= 1, "tracing.share", "must be from 0 to 1")
	address("metrics.listen", c.Metrics.Listen)
	check(c.Metrics.Listen == "" || c.Metrics.Listen != c.HTTP.Listen, "metrics.listen", "must be another port than http.listen")
	check(!c.HTTP.open() || c.HTTP.safe(), "http.listen", "must be on this machine alone (127.0.0.1:8080), or tokens would travel in the clear: set "+
		"http.tls_cert_file, or http.behind_proxy where a proxy speaks TLS for it")
	check((c.HTTP.TLSCertFile == "") == (c.HTTP.TLSKeyFile == ""), "http.tls_cert_file", "goes together with http.tls_key_file")
	c.checkWeb(check, oneOf)
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, "text", "json")
	return found
}

// Require checks that what a program cannot do without is there. A section is plc, inventory, database, secrets, temporal,
// probe, mail or http.
func (c *Config) Require(sections ...string) error {
	needs := map[string][]struct{ path, value string }{
		"plc": {{"plc.url", c.PLC.URL}, {"plc.username", c.PLC.Username},
			{"plc.password", c.PLC.Password.Reveal()}},
		"database": {{"database.url", c.Database.URL.Reveal()}},
		"secrets":  {{"secrets.key_file", c.Secrets.KeyFile}},
		"temporal": {{"temporal.address", c.Temporal.Address}, {"temporal.namespace", c.Temporal.Namespace}},
		"probe":    {{"probe.ssh_user", c.Probe.SSHUser}, {"probe.ssh_key_file", c.Probe.SSHKeyFile}},
		"http":     {{"http.listen", c.HTTP.Listen}},
		"web":      {{"web.listen", c.Web.Listen}},
		"mail":     nil,
	}
	if c.Mode != ModeObserve {
		needs["mail"] = append(needs["mail"], []struct{ path, value string }{{"mail.smtp", c.Mail.SMTP}, {"mail.from", c.Mail.From}}...)
	}
	if needs["inventory"] = nil; c.Inventory.Source == InventoryPLC { // the others are checked where they are set
		needs["inventory"] = needs["plc"]
	}
	var errs []error
	for _, section := range sections {
		list, known := needs[section]
		if !known {
			errs = append(errs, fmt.Errorf("config: no section %q can be required", section))
		}
		for _, need := range list {
			if need.value == "" {
				errs = append(errs, fmt.Errorf("%s: must be set (in the file, or as %s)", need.path, leaf{path: need.path}.env()))
			}
		}
	}
	return errors.Join(errs...)
}

var ruleName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// Key reads the 32-byte key for secrets at rest: 64 hexadecimal digits in a file. It is nil when no file is named.
func (s Secrets) Key() ([]byte, error) { return readKey("secrets.key_file", s.KeyFile) }

// OldKeys reads the keys that were used before.
func (s Secrets) OldKeys() ([][]byte, error) {
	var keys [][]byte
	for _, path := range s.OldKeyFiles {
		key, err := readKey("secrets.old_key_files", path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// PayloadKey reads the key for what Temporal is handed. It is nil when no file is named.
func (t Temporal) PayloadKey() ([]byte, error) {
	return readKey("temporal.payload_key_file", t.PayloadKeyFile)
}

func readKey(setting, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s: %s must hold 64 hexadecimal digits (openssl rand -hex 32)", setting, path)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("%s: everyone may write to %s", setting, path)
	}
	return key, nil
}

func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// travelsSafely says whether a secret may be sent to a URL.
func travelsSafely(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || isLoopback(net.JoinHostPort(u.Hostname(), "0")))
}

func isPostgres(s Secret) bool {
	return strings.HasPrefix(s.Reveal(), "postgres://") || strings.HasPrefix(s.Reveal(), "postgresql://")
}

func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 0 && n <= 65535
}

// isPlace reports whether a program can listen there: at host:port, or at a socket with its whole path, which the system
// takes only so long (unix(7)).
func isPlace(text string) bool {
	path, is := listen.Socket(text)
	return is && filepath.IsAbs(path) && len(path) < 108 && path == filepath.Clean(path) || !is && isAddress(text)
}

func isPort(n int) bool { return n >= 1 && n <= 65535 }

func isMail(text string) bool {
	_, err := mail.ParseAddress(text)
	return err == nil && !strings.ContainsAny(text, "\r\n")
}

func isLoopback(address string) bool {
	if _, is := listen.Socket(address); is {
		return true
	}
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
