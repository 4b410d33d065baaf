package pcucontrol_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
)

// drac is an ssh server with a shell as Dell's cards have it.
type drac struct {
	config ssh.ServerConfig
	prompt string
	bare   bool // it wants its commands without the word racadm

	mu   sync.Mutex
	said []string
}

func (d *drac) heard() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.said, ", ")
}

func newSigner(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err1 := ssh.NewSignerFromKey(key)
	block, err2 := ssh.MarshalPrivateKey(key, "")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return signer, string(pem.EncodeToMemory(block))
}

func (d *drac) serve(t *testing.T) pcucontrol.Target {
	t.Helper()
	signer, _ := newSigner(t)
	d.config.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.talk(c)
		}
	}()
	return pcucontrol.Target{
		Model:    "DRAC",
		Host:     "127.0.0.1",
		Port:     l.Addr().(*net.TCPAddr).Port,
		User:     "root",
		Password: password,
	}
}

func (d *drac) talk(c net.Conn) {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(c, &d.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		ch, requests, err := channel.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(true, nil)
			}
		}()
		in := bufio.NewScanner(ch)
		in.Split(func(data []byte, _ bool) (int, []byte, error) { // lines end in CR, in LF, or in both
			if i := strings.IndexAny(string(data), "\r\n"); i >= 0 {
				return i + 1, data[:i], nil
			}
			return 0, nil, nil
		})
		fmt.Fprintf(ch, "\r\n%s", d.prompt)
		for in.Scan() {
			line := in.Text()
			if line == "" {
				continue
			}
			d.mu.Lock()
			d.said = append(d.said, line)
			d.mu.Unlock()
			command, worded := strings.CutPrefix(line, "racadm ")
			answer := "ERROR: Invalid subcommand specified.\r\n"
			switch {
			case line == "exit":
				_ = ch.Close()
				return
			case worded == d.bare:
			case command == "getsysinfo":
				answer = "RAC Information:\r\nRAC Date/Time = Tue Nov 24 2026\r\nFirmware Version = 1.60\r\n"
			case command == "serveraction powerstatus":
				answer = "Server power status: ON\r\n"
			}
			fmt.Fprintf(ch, "%s\r\n%s%s", line, answer, d.prompt)
		}
	}
}

func byPassword(c ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
	if c.User() != "root" || string(given) != password {
		return nil, fmt.Errorf("denied")
	}
	return nil, nil
}

func TestDRACShells(t *testing.T) {
	t.Parallel()
	for _, prompt := range []string{"$ ", "$", "/admin1-> ", "[root]# ", "root# ", "racadm>> "} {
		for _, bare := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q bare %v", prompt, bare), func(t *testing.T) {
				t.Parallel()
				d := &drac{prompt: prompt, bare: bare, config: ssh.ServerConfig{PasswordCallback: byPassword}}
				target := d.serve(t)
				if res, err := models.Builtin().Test(enough(t), target); err != nil || !res.Verified {
					t.Errorf("a dry run gives %+v, %v", res, err)
				}
				if said := d.heard(); !strings.Contains(said, "getsysinfo") || strings.Contains(said, "serveraction") {
					t.Errorf("a dry run said %q", said)
				}
				if res, err := models.Builtin().Status(enough(t), target); err != nil || res.After != pcucontrol.On {
					t.Errorf("status is %+v, %v", res, err)
				}
			})
		}
	}
}

func TestSSHLogins(t *testing.T) {
	t.Parallel()
	key, pemText := newSigner(t)
	_, strange := newSigner(t)
	old := ssh.InsecureAlgorithms()
	byQuestions := func(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answers, err := ask("", "", []string{"Password: "}, []bool{false})
		if err != nil {
			return nil, err
		}
		return byPassword(c, []byte(answers[0]))
	}
	byKey := func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if string(k.Marshal()) != string(key.PublicKey().Marshal()) {
			return nil, fmt.Errorf("denied")
		}
		return nil, nil
	}
	oldOnly := ssh.ServerConfig{
		PasswordCallback: byPassword,
		Config:           ssh.Config{KeyExchanges: old.KeyExchanges, Ciphers: old.Ciphers, MACs: old.MACs},
	}
	for _, c := range []struct {
		name     string
		config   ssh.ServerConfig
		password string
		legacy   bool
		kind     pcucontrol.Kind
		says     string
	}{
		{"a password", ssh.ServerConfig{PasswordCallback: byPassword}, password, false, "", ""},
		{"keyboard-interactive", ssh.ServerConfig{KeyboardInteractiveCallback: byQuestions}, password, false, "", ""},
		{"a wrong password", ssh.ServerConfig{PasswordCallback: byPassword, KeyboardInteractiveCallback: byQuestions},
			"guess-me", false, pcucontrol.Auth, ""},
		{"a key", ssh.ServerConfig{PublicKeyCallback: byKey}, pemText, false, "", ""},
		{"a key nobody knows", ssh.ServerConfig{PublicKeyCallback: byKey}, strange, false, pcucontrol.Auth, ""},
		{"old algorithms, which the record does not permit", oldOnly, password, false, pcucontrol.Refused, "legacy"},
		{"old algorithms, which the record permits", oldOnly, password, true, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := &drac{prompt: "$ ", config: c.config}
			target := d.serve(t)
			target.Password, target.Legacy = c.password, c.legacy
			_, err := models.Builtin().Status(enough(t), target)
			if pcucontrol.KindOf(err) != c.kind ||
				err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), c.password)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSSHHostKeysAreShownAndInsistedOn(t *testing.T) {
	d := &drac{prompt: "$ ", config: ssh.ServerConfig{PasswordCallback: byPassword}}
	target := d.serve(t)
	var shown string
	target.SeenHostKey = func(key string) { shown = key }
	if _, err := models.Builtin().Status(enough(t), target); err != nil || !strings.HasPrefix(shown, "ssh-ed25519 ") {
		t.Fatalf("shown was %q, %v", shown, err)
	}
	target.KnownHostKey = shown
	if _, err := models.Builtin().Status(enough(t), target); err != nil {
		t.Errorf("the known key gives %v", err)
	}
	other, _ := newSigner(t)
	target.KnownHostKey = string(ssh.MarshalAuthorizedKey(other.PublicKey()))
	before := d.heard()
	if _, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Refused ||
		d.heard() != before {
		t.Errorf("another key gives %v, and %q was said", err, d.heard())
	}
}

func TestARackOfAnotherFirmwareNamesTheModelThatFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ device, transport, model, fits string }{
		{"APCControl", "telnet", "APCControl12p3", "APCControl speaks"}, {"APCControl", "ssh", "APCControl12p3",
			"APCControl speaks"},
		{"APCControl12p3", "telnet", "APCControl", "APCControl12p3 or one of its kin"}, {"APCControl1p4", "ssh",
			"APCControl", "APCControl12p3 or one of its kin"},
	} {
		_, r, target := raise(t, c.device, c.transport)
		target.Model = c.model
		if _, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Refused ||
			!strings.Contains(err.Error(), c.fits) ||
			r.events() != "" {
			t.Errorf("%s on a %s by %s gives %v and switched %q", c.model, c.device, c.transport, err, r.events())
		}
	}
}

func TestWhatIsNotTrustedSaysWhichOptionAllowsIt(t *testing.T) {
	_, _, web := raise(t, "Redfish", "https")
	web.Legacy = false
	_, _, shell := raise(t, "DRAC", "ssh")
	shell.KnownHostKey = "ssh-ed25519 AAAAsomethingelse"
	for option, target := range map[string]pcucontrol.Target{"--certificate": web, "--legacy": web, "--host-key": shell,
		"monitor pcu forget": shell} {
		if _, err := models.Builtin().Test(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Refused ||
			!strings.Contains(err.Error(), option) {
			t.Errorf("without %s it gives %v", option, err)
		}
	}
}
