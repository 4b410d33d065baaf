package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/planetlab/monitor/access"
)

// signIn is where a command line works over the API, and the token that lets it in.
type signIn struct {
	Server string `json:"server"`
	Token  string `json:"token"`
}

// signInFile is where `monitor login` keeps it, for this user alone.
func signInFile() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "monitor", "login.json"), err
}

// loadSignIn reads what was kept. Nothing kept is the zero signIn. A file that others may read has lost its secret.
func loadSignIn() (s signIn, err error) {
	path, err := signInFile()
	if err != nil {
		return s, nil // a user without a home has signed in nowhere
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return s, badInput("others may read %s: revoke its token, and sign in again with `monitor login`", path)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, badInput("%s: %w: sign in again with `monitor login`", path, err)
	}
	return s, nil
}

func (s signIn) save() (path string, err error) {
	if path, err = signInFile(); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		return "", err
	}
	next := path + ".new"
	_ = os.Remove(next) // of a try that died; its mode may be another
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return "", err
	}
	return path, os.Rename(next, path)
}

const serverVariable, tokenVariable = "MONITOR_SERVER", "MONITOR_TOKEN"

// checkServer reads the URL of a server. A token is sent over TLS, or to this machine.
func checkServer(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", badInput("--server %q is no address: it looks like https://monitor.example.org", text)
	}
	if host := u.Hostname(); u.Scheme == "http" && host != "localhost" && host != "::1" && !strings.HasPrefix(host, "127.") {
		return "", badInput("--server %s: the token would travel in the clear: use https", text)
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/"), nil
}

func (a *app) login() *cobra.Command {
	var out bool
	var user, passwordFile string
	cmd := &cobra.Command{
		Use: "login", Short: "Sign in at a server, so that commands work over its API", Args: takes(),
		Long: `Sign in at a server with a token, which is asked for, or read from the standard input where that is no terminal. Commands
then work over the API of that server, and need neither the database nor Temporal. The token is kept in a file of yours
that nobody else may read.

With --user a server that has pages takes an account of PLC in place of a token: the password is asked for, or read from
--password-file, and is exchanged for a token of the same person's role, which is good for a day. The password is kept nowhere.

--server, or MONITOR_SERVER with MONITOR_TOKEN, does the same for one call. Where Monitor's own configuration is named,
as by --config, that is used instead.`,
		Example: "  monitor login --server https://monitor.example.org < token\n" +
			"  monitor login --server https://monitor.example.org --user tech@example.edu\n  monitor login --out",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out {
				return a.logout()
			}
			if a.server == "" {
				return badInput("--server is missing: where shall this sign in?")
			}
			server, err := checkServer(a.server)
			if err != nil {
				return err
			}
			ctx, cancel := a.within(cmd.Context(), 2*patience)
			defer cancel()
			var token string
			if user != "" {
				token, err = a.exchange(ctx, server, user, passwordFile)
			} else if passwordFile != "" {
				err = badInput("--password-file goes with --user")
			} else {
				token, err = a.readToken()
			}
			if err != nil {
				return err
			}
			s := signIn{server, token}
			var self access.Who
			if err := newRemote(s).get(ctx, "/self", nil, &self); err != nil {
				return err
			}
			path, err := s.save()
			if err != nil {
				return err
			}
			a.warn("the token is kept in %s", path)
			return a.show(self, func() {
				a.say("signed in at %s as %s, with the role %s at %s", server, clean(self.String()), self.Role, sitesOf(self))
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "sign in with this `account` of PLC, by its password")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "with --user: `file` that holds the password; - is the standard input")
	_ = cmd.MarkFlagFilename("password-file")
	cmd.Flags().BoolVar(&out, "out", false, "forget the token; it is not revoked by that")
	return cmd
}

// exchange has a server give a token for a password at PLC.
func (a *app) exchange(ctx context.Context, server, user, file string) (string, error) {
	password, err := a.loginPassword(file, user)
	if err != nil {
		return "", err
	}
	var given struct {
		Token   string    `json:"token"`
		Name    string    `json:"name"`
		Expires time.Time `json:"expires"`
	}
	err = newRemote(signIn{Server: server}).send(ctx, http.MethodPost, signInPath, map[string]string{"account": user, "password": password}, &given)
	var no refusal
	switch {
	case errors.As(err, &no) && no.Type == "": // of the pages; the API's have types
		return "", errors.New(clean(no.Detail))
	case errors.Is(err, errUnanswered):
		return "", err
	case err != nil:
		return "", fmt.Errorf("%w (passwords are taken at the address of its pages)", err)
	}
	if _, _, is := access.ParseToken(given.Token); !is {
		return "", fmt.Errorf("%s answers no token", server)
	}
	a.warn("the token is called %q, and is good until %s", clean(given.Name), a.when(given.Expires))
	return given.Token, nil
}

// loginPassword never comes from the command line, where everyone could read it.
func (a *app) loginPassword(file, user string) (string, error) {
	var text []byte
	var err error
	switch {
	case file == "-":
		text, err = io.ReadAll(io.LimitReader(a.in, 4096))
	case file != "":
		text, err = os.ReadFile(file)
	case !isTerminal(a.in):
		return "", badInput("no password: give --password-file, or - for the standard input")
	default:
		fmt.Fprintf(a.err, "password of %s: ", clean(user))
		text, err = term.ReadPassword(int(a.in.(*os.File).Fd()))
		fmt.Fprintln(a.err)
	}
	if err != nil {
		return "", badInput("--password-file: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", badInput("the password is empty")
	}
	return password, nil
}

func sitesOf(w access.Who) string {
	if w.Of("") {
		return "all sites"
	}
	return clean(strings.Join(w.Sites, ", "))
}

func (a *app) logout() error {
	path, err := signInFile()
	if err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return notFound("nobody is signed in")
	}
	if err != nil {
		return err
	}
	a.say("signed out")
	return nil
}

// readToken reads a token from the terminal, unseen, or from the standard input.
func (a *app) readToken() (string, error) {
	if token := os.Getenv(tokenVariable); token != "" {
		return token, nil
	}
	var text string
	if f, is := a.in.(*os.File); is && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(a.err, "token: ")
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.err)
		if err != nil {
			return "", err
		}
		text = string(b)
	} else {
		line, err := bufio.NewReader(io.LimitReader(a.in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		text = line
	}
	text = strings.TrimSpace(text)
	if _, _, is := access.ParseToken(text); !is {
		return "", badInput("that is no token: `monitor token add` makes one")
	}
	return text, nil
}

// remote is the API that this call works over; nil: it works with Monitor's own configuration.
func (a *app) remote() (*apiServer, error) {
	server := a.server
	if server == "" {
		server = os.Getenv(serverVariable)
	}
	if server == "" && a.configured() {
		return nil, nil
	}
	kept, err := loadSignIn()
	if err != nil {
		return nil, err
	}
	if server == "" {
		if server = kept.Server; server == "" {
			return nil, nil
		}
	}
	if server, err = checkServer(server); err != nil {
		return nil, err
	}
	token := os.Getenv(tokenVariable)
	if token == "" && kept.Server == server {
		token = kept.Token
	}
	if token == "" {
		return nil, badInput("nobody is signed in at %s: use `monitor login --server %s`, or %s", server, server, tokenVariable)
	}
	return newRemote(signIn{server, token}), nil
}

// configured reports whether Monitor's own configuration is named.
func (a *app) configured() bool {
	return a.flags.Path != "" || len(a.flags.Set) > 0 || configuredElsewhere()
}

// configuredElsewhere reports whether the environment says where the configuration, or the database, is.
func configuredElsewhere() bool {
	for _, name := range []string{"MONITOR_CONFIG", "DATABASE_URL", "MONITOR_DATABASE_URL"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// overAPI does something over the API, where this call works over one. Otherwise it is not done, and done is false.
func (a *app) overAPI(ctx context.Context, do func(context.Context, *apiServer) error) (done bool, err error) {
	r, err := a.remote()
	if err != nil || r == nil {
		return err != nil, err
	}
	ctx, cancel := a.within(ctx, 2*patience)
	defer cancel()
	return true, flagged(do(ctx, r))
}
