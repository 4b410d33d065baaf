package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/planetlab/monitor/config"
)

const fileBegins = `# Monitor's configuration, begun by ` + "`monitor setup`" + `. What is not set here has its default; every key is documented in
# monitor.sample.yaml (/usr/share/doc/monitor). ` + "`monitor --config FILE --check-config`" + ` says what is wrong with it.
mode: observe
`

// in is a file beside the configuration.
func (s *setup) in(name string) string { return filepath.Join(filepath.Dir(s.file), name) }

// write asks what is not known yet, and writes the configuration and the secrets that were typed.
func (s *setup) write(context.Context) error {
	const name, about = "setup.configuration", "the configuration holds what must be known"
	before, err := os.ReadFile(s.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.fail(name, about, "run this as an account that may read it", err)
	}
	known, err := s.known(before)
	if err != nil {
		return badInput("configuration: %w", err)
	}
	set, err := s.answers(known)
	if err != nil {
		return err
	}
	if s.fromEnvironment != "" {
		if err := s.keep(s.in("database_url"), []byte(s.fromEnvironment+"\n"), 0o600); err != nil {
			return s.fail(name, about, "run this as root, or name another file with --config", err)
		}
	}
	text := before
	if len(text) == 0 {
		text = []byte(fileBegins)
	}
	after, err := config.Edit(text, set)
	if err != nil {
		return badInput("%s: %w", s.file, err)
	}
	said := "is as it was"
	if !bytes.Equal(before, after) {
		if err := s.keep(s.file, after, 0o640); err != nil {
			return s.fail(name, about, "run this as root, or name another file with --config", err)
		}
		said = "is written"
	}
	return s.ok(name, about, "%s %s", s.file, said)
}

// known is what the file, the environment and --set say already; what is wrong with it does not matter yet, only what is
// set.
func (s *setup) known(text []byte) (map[string]string, error) {
	source, err := config.Lookup(text, "inventory.source")
	if err != nil {
		return nil, err
	}
	out := map[string]string{"inventory.source": source}
	for _, x := range setupSettings() {
		v, err := config.Lookup(text, x.key)
		if err != nil {
			return nil, err
		}
		if secret, is := strings.CutSuffix(x.key, "_file"); is && v == "" {
			if v, err = config.Lookup(text, secret); err != nil {
				return nil, err
			}
		}
		if v != "" {
			out[x.key] = v
		}
	}
	return out, nil
}

// answers are the settings to write: flags first, then what stands in the file, then the answers of a person.
func (s *setup) answers(known map[string]string) ([]config.Setting, error) {
	var set []config.Setting
	var missing []string
	for _, pair := range s.app.flags.Set {
		key, value, _ := strings.Cut(pair, "=")
		set = append(set, config.Setting{Key: key, Value: value})
	}
	asks := isTerminal(s.app.in)
	withoutPLC := known["inventory.source"] != "" && known["inventory.source"] != config.InventoryPLC
	if *s.flags["inventory.file"] != "" {
		withoutPLC = true
		set = append(set, config.Setting{Key: "inventory.source", Value: config.InventoryFile})
	}
	if s.ansible != "" {
		withoutPLC = true
		of, err := fromAnsible(s.ansible, known["inventory.source"])
		if err != nil {
			return nil, err
		}
		set = append(of, set...) // what --set says of it counts
	}
	for _, x := range setupSettings() {
		value := *s.flags[x.key]
		if withoutPLC && strings.HasPrefix(x.key, "plc.") {
			continue
		}
		if value != "" && (strings.HasSuffix(x.key, "_file") || x.key == "inventory.file") {
			abs, err := filepath.Abs(value)
			if err != nil {
				return nil, err
			}
			if value, err = s.within(x, abs); err != nil {
				return nil, err
			}
		}
		switch {
		case value != "":
		case known[x.key] != "" || x.ask == "":
			continue
		case x.key == "database.url_file" && s.local:
			value = s.in(x.secret)
		case x.key == "database.url_file" && databaseInEnvironment() != "": // the worker will not have ours
			value, s.fromEnvironment = s.in(x.secret), databaseInEnvironment()
		case asks:
			answer, err := s.question(x)
			if err != nil {
				return nil, err
			}
			value = answer
		case x.must:
			missing = append(missing, "--"+x.flag)
		}
		if x.key == "temporal.address" {
			value = embeddedAddress(value)
		}
		if value != "" {
			set = append(set, config.Setting{Key: x.key, Value: value})
		}
	}
	if len(missing) > 0 {
		return nil, badInput("setup must know %s (there is no terminal to ask on)", strings.Join(missing, ", "))
	}
	return append(set, s.defaults(set, known)...), nil
}

// fromAnsible are the settings for an inventory of Ansible. All its hosts are one site at first.
func fromAnsible(inventory, before string) ([]config.Setting, error) {
	path, err := filepath.Abs(inventory)
	if err != nil {
		return nil, err
	}
	set := []config.Setting{{Key: "inventory.source", Value: config.InventoryAnsible},
		{Key: "inventory.ansible.command", Value: "ansible-inventory,-i," + path + ",--list"}}
	if before != config.InventoryAnsible {
		set = append(set, config.Setting{Key: "inventory.ansible.sites", Value: "all=lab"})
	}
	return set, nil
}

// defaults are the files that the next steps make where nobody named one.
func (s *setup) defaults(set []config.Setting, known map[string]string) []config.Setting {
	named := func(key string) bool {
		return known[key] != "" || slices.ContainsFunc(set, func(x config.Setting) bool { return x.Key == key })
	}
	var out []config.Setting
	if !named("probe.ssh_key_file") {
		out = append(out, config.Setting{Key: "probe.ssh_key_file", Value: s.in("ssh_key")})
	}
	if text, _ := os.ReadFile(s.file); !named("secrets.key_file") {
		if v, _ := config.Lookup(text, "secrets.key_file"); v == "" {
			out = append(out, config.Setting{Key: "secrets.key_file", Value: s.in("secret_key")})
		}
	}
	return out
}

func databaseInEnvironment() string {
	return cmp.Or(os.Getenv("MONITOR_DATABASE_URL"), os.Getenv("DATABASE_URL"))
}

// question asks one thing. What is secret is typed without echo, and written into a file of its own, whose name is the
// answer.
func (s *setup) question(x setupSetting) (string, error) {
	prompt := x.ask
	if x.example != "" {
		prompt += " (such as " + x.example + ")"
	}
	fmt.Fprint(s.err, prompt, ": ")
	var answer string
	if x.secret != "" {
		typed, err := term.ReadPassword(int(s.app.in.(*os.File).Fd()))
		fmt.Fprintln(s.err)
		if err != nil {
			return "", err
		}
		answer = string(typed)
	} else {
		line, err := bufio.NewReader(oneByte{s.app.in}).ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("no answer: %w", err)
		}
		answer = line
	}
	answer = strings.TrimSpace(answer)
	switch {
	case answer == "" && x.must:
		return s.question(x)
	case x.key == "database.url_file" && answer == "local":
		s.local = true
		return s.in(x.secret), nil
	case x.secret != "":
		file := s.in(x.secret)
		return file, s.keep(file, []byte(answer+"\n"), 0o600)
	}
	return answer, nil
}

// oneByte reads no more than it is asked for, so that the next question finds its answer.
type oneByte struct{ io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.Reader.Read(b[:min(1, len(b))]) }

// keep writes a file whole or not at all, readable to the account that runs the worker and to nobody else.
func (s *setup) keep(path string, text []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".setup-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename it is not there any more
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = own(f, mode)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// serviceUser is the account that the packages make for the worker.
const serviceUser = "monitor"

// own gives a file to the worker's account, where root makes it and there is one: a secret to it alone, the rest to read.
func own(f *os.File, mode fs.FileMode) error {
	u, err := user.Lookup(serviceUser)
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if mode != 0o600 {
		uid = 0
	}
	return f.Chown(uid, gid)
}

// within is a file that the worker's account may read: a copy beside the configuration, where it may not read the one
// that was named, as one in root's home.
func (s *setup) within(x setupSetting, path string) (string, error) {
	name := cmp.Or(x.secret, x.beside)
	if name == "" || s.start != startSystemd || path == s.in(name) || serviceMay("test", "-r", path) == nil {
		return path, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", badInput("--%s: %w", x.flag, err)
	}
	if err := s.keep(s.in(name), text, 0o600); err != nil {
		return "", err
	}
	return s.in(name), s.ok("setup.copy", "the worker's account may read the files that were named", "%s is copied to %s, for the account %s",
		path, s.in(name), serviceUser)
}

// serviceMay runs a command as the worker's account, where root asks and there is one.
func serviceMay(words ...string) error {
	if _, err := user.Lookup(serviceUser); err != nil || os.Geteuid() != 0 {
		return nil
	}
	out, err := exec.Command("runuser", append([]string{"-u", serviceUser, "--"}, words...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// keys makes the keys that are missing, and loads the configuration, which is whole now.
func (s *setup) keys(ctx context.Context) error {
	text, err := os.ReadFile(s.file)
	if err != nil {
		return err
	}
	for _, k := range []struct {
		key, name, about string
		make             func() ([]byte, string, error)
	}{
		{"secrets.key_file", "setup.secret_key", "there is a key that seals the passwords of PCUs in the database", newSecretKey},
		{"probe.ssh_key_file", "setup.ssh_key", "there is a key that opens the nodes", newSSHKey},
	} {
		path, err := config.Lookup(text, k.key)
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); err == nil {
			if err := s.ok(k.name, k.about, "%s is there", path); err != nil {
				return err
			}
			continue
		}
		made, say, err := k.make()
		if err == nil {
			err = s.keep(path, made, 0o600)
		}
		if err != nil {
			return s.fail(k.name, k.about, "check the folder", err)
		}
		if err := s.ok(k.name, k.about, "%s is made%s", path, say); err != nil {
			return err
		}
	}
	if s.local {
		return nil // the database's file is made by the next step
	}
	return s.load()
}

// load reads the configuration as the worker will.
func (s *setup) load() error {
	cfg, err := s.app.config("inventory", "database", "secrets", "temporal", "probe")
	if err != nil {
		return s.fail("config", "the configuration can be read and meant", "mend each line in "+s.file, err)
	}
	s.cfg = cfg
	return nil
}

func newSecretKey() ([]byte, string, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return []byte(hex.EncodeToString(key) + "\n"), "; keep a copy apart from the database's backups", err
}

func newSSHKey() ([]byte, string, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	block, err := ssh.MarshalPrivateKey(private, "monitor")
	if err != nil {
		return nil, "", err
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(block), "; have PLC put this on the nodes: " +
		strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))), nil
}
