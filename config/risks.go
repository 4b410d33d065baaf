package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Risks are what works and leaves a door open: secrets that travel or lie where others may read them, and listeners
// that take anybody's word. Each begins with its setting and ends with what to do.
func (c *Config) Risks() []string {
	var found []string
	risk := func(there bool, path, text string) {
		if there {
			found = append(found, path+": "+text)
		}
	}
	risk(c.PLC.URL != "" && isHTTP(c.PLC.URL) && !travelsSafely(c.PLC.URL), "plc.url",
		"the password of an admin account travels in the clear, and anybody on the way may answer for PLC: use https")
	risk(
		postgresUnproven(c.Database.URL.Reveal()),
		"database.url",
		"nothing proves that the Postgres on another host is the right one: add sslmode=verify-full, and sslrootcert where its authority is your own",
	)
	risk(!c.Temporal.TLS && c.Temporal.Address != "" && !isLoopback(c.Temporal.Address), "temporal.tls",
		"what Monitor tells Temporal on another host, and what it is told to do, travels in the clear: set it to true")
	risk(
		c.Webhook.URL != "" && !travelsSafely(c.Webhook.URL.Reveal()),
		"webhook.url",
		"the address, which is a secret, travels in the clear: use https",
	)
	risk(
		c.Mail.SMTP != "" && c.Mail.TLS == TLSNone && !isLoopback(c.Mail.SMTP),
		"mail.tls",
		"mail travels in the clear to another host: use starttls or tls",
	)
	risk(
		len(c.Alerts.Rules) > 0 && c.Alerts.Token == "",
		"alertmanager.token",
		"whoever reaches the port may open issues: set it, and the same in Alertmanager",
	)
	for _, file := range c.secretFiles() {
		found = append(found, fileRisks(file)...)
	}
	return found
}

// open says whether others than this machine reach the pages.
func (h HTTP) open() bool { return h.Listen != "" && !isLoopback(h.Listen) }

// safe says whether what is sent to the pages is not read on its way.
func (h HTTP) safe() bool { return h.TLSCertFile != "" || h.BehindProxy }

// postgresUnproven reports whether a Postgres is on another host and its certificate is not checked (libpq, SSL Mode
// Descriptions).
func postgresUnproven(text string) bool {
	u, err := url.Parse(text)
	if err != nil || text == "" {
		return false
	}
	q := u.Query()
	host := q.Get("host")
	if host == "" {
		host = u.Hostname()
	}
	if host == "" || strings.HasPrefix(host, "/") || isLoopback(net.JoinHostPort(host, "0")) {
		return false
	}
	return !slices.Contains([]string{"verify-full", "verify-ca"}, q.Get("sslmode"))
}

// secretFiles are the files that hold secrets, each with the setting that names it.
func (c *Config) secretFiles() []KeyFile {
	files := c.Probe.Keys()
	if c.Secrets.KeyFile != "" {
		files = append(files, KeyFile{"secrets.key_file", c.Secrets.KeyFile})
	}
	for _, path := range c.Secrets.OldKeyFiles {
		files = append(files, KeyFile{"secrets.old_key_files", path})
	}
	for _, f := range []KeyFile{{"temporal.tls_key_file", c.Temporal.TLSKeyFile}, {"temporal.payload_key_file", c.Temporal.PayloadKeyFile}, {"http.tls_key_file", c.HTTP.TLSKeyFile}} {
		if f.Path != "" {
			files = append(files, f)
		}
	}
	all := leaves("", reflect.ValueOf(c).Elem())
	for _, secret := range all {
		for _, file := range all {
			if twins(secret, file) && file.value.String() != "" {
				files = append(files, KeyFile{file.path, file.value.String()})
			}
		}
	}
	return files
}

// fileRisks says who else may read or write a file of secrets. One that cannot be asked is another check's matter.
func fileRisks(f KeyFile) []string {
	info, err := os.Stat(f.Path)
	switch {
	case err != nil:
		return nil
	case info.Mode().Perm()&0o007 != 0:
		return []string{
			fmt.Sprintf(
				"%s: %s is open to every account of this machine (%s): chmod 600 it",
				f.Setting,
				f.Path,
				info.Mode().Perm(),
			),
		}
	case info.Mode().Perm()&0o020 != 0:
		return []string{
			fmt.Sprintf("%s: %s may be written by its group (%s): chmod g-w it", f.Setting, f.Path, info.Mode().Perm()),
		}
	}
	return nil
}

// warnOfOpenFile says that the configuration holds secrets which other accounts may read.
func (l *loader) warnOfOpenFile(path, base string) {
	info, err := os.Stat(path)
	if err != nil || errors.Is(err, fs.ErrNotExist) || info.Mode().Perm()&0o007 == 0 {
		return
	}
	for _, leaf := range leaves("", reflect.ValueOf(l.cfg).Elem()) {
		if _, secret := leaf.value.Interface().(Secret); secret && !leaf.value.IsZero() &&
			strings.HasPrefix(l.where[leaf.path], base+":") {
			l.warn(
				"%s: %s: the file is open to every account of this machine (%s): chmod 600 it, or use %s_file",
				l.where[leaf.path],
				leaf.path,
				info.Mode().Perm(),
				leaf.path,
			)
		}
	}
}
