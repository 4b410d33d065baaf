// Package redfish drives what speaks DMTF's Redfish (DSP0266).
package redfish

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/web"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// Driver drives what speaks DMTF's Redfish (DSP0266): iLO 5, iDRAC 9, XClarity, OpenBMC and others. It switches the
// system that the outlet's name or number is the id of, that has the name, or the only one there is.
type Driver struct{}

// Model is the model's name.
const Model = "Redfish"

// lag is how long PowerState may tell of the time before a reset: ten seconds and more have been seen.
const lag = 15 * time.Second

// odataLink points to another resource.
type odataLink struct {
	ID string `json:"@odata.id"`
}

// computerSystem is what we read of one.
type computerSystem struct {
	ID         string `json:"Id"`
	Name       string
	ETag       string `json:"@odata.etag"`
	PowerState string
	Boot       struct{ BootSourceOverrideEnabled, BootSourceOverrideTarget string }
	Actions    struct {
		Reset struct {
			Target string   `json:"target"`
			Types  []string `json:"ResetType@Redfish.AllowableValues"`
			Info   string   `json:"@Redfish.ActionInfo"`
		} `json:"#ComputerSystem.Reset"`
	}
}

// session is a login and the system it is about.
type session struct {
	w          *web.Client
	session    string // to delete on leaving
	collection string // the path of the systems
	path       string // of the system
	system     computerSystem
}

func newSession(t pcucontrol.Target) *session {
	s := &session{w: web.New(t, web.LoginNone, true)}
	s.w.Header.Set("Accept", "application/json")
	s.w.Header.Set("OData-Version", "4.0")
	return s
}

// Identify asks for the root of the service, which is there for everybody to read.
func Identify(ctx context.Context, t pcucontrol.Target) (version, product string, err error) {
	s := newSession(t)
	defer s.w.Close()
	root, err := s.root(ctx)
	return root.Version, root.Product, err
}

// serviceRoot is what we read of the resource that everything begins with.
type serviceRoot struct {
	Version string `json:"RedfishVersion"`
	Product string
	Systems odataLink
	Links   struct{ Sessions odataLink }
}

// open logs in and reads the system.
func (s *session) open(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	var err error
	if s.path, err = s.find(ctx); err != nil {
		return err
	}
	return s.get(ctx, "read the system", s.path, &s.system)
}

// enter logs in.
func (s *session) enter(ctx context.Context) error {
	root, err := s.root(ctx)
	// it is for everybody to read, but some simple ones guard all they have with Basic
	if pcucontrol.KindOf(err) == pcucontrol.Auth {
		s.w.Use = web.Credentials{Basic: true}
		root, err = s.root(ctx)
	}
	if err != nil {
		return err
	}
	if !s.w.Use.Basic {
		if err := s.login(ctx, root.Links.Sessions.ID); err != nil {
			return err
		}
	}
	s.collection = cmp.Or(root.Systems.ID, "/redfish/v1/Systems")
	return nil
}

func (s *session) root(ctx context.Context) (root serviceRoot, err error) {
	if err = s.get(ctx, "find the service", "/redfish/v1/", &root); pcucontrol.KindOf(err) == pcucontrol.Unexpected {
		err = s.get(ctx, "find the service", "/redfish/v1", &root) // some have it only so
	}
	return root, err
}

// login begins a session. A device that has none is told who calls with each request.
func (s *session) login(ctx context.Context, path string) error {
	if path == "" {
		s.w.Use = web.Credentials{Basic: true}
		return nil
	}
	body, err := json.Marshal(map[string]string{"UserName": s.w.Target.User, "Password": s.w.Target.Password})
	if err != nil {
		return s.w.Fail(pcucontrol.Unexpected, "log in", err.Error())
	}
	a, err := s.ask(ctx, "log in", "POST", path, string(body))
	if err != nil {
		return err
	}
	if token := a.Header.Get("X-Auth-Token"); a.Status < 300 && token != "" {
		s.w.Header.Set("X-Auth-Token", token)
		var made odataLink
		_ = json.Unmarshal([]byte(a.Body), &made) // some answer without a body
		s.session = cmp.Or(a.Header.Get("Location"), made.ID)
		return nil
	}
	switch err := s.judge("log in", a); pcucontrol.KindOf(err) {
	case pcucontrol.Auth, pcucontrol.Busy:
		return err
	}
	s.w.Use = web.Credentials{Basic: true}
	return nil
}

// close ends the session, also when there is no time left for more.
func (s *session) close(ctx context.Context) {
	defer s.w.Close()
	if s.session == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, _ = s.ask(ctx, "log out", "DELETE", s.session, "") // it ends by itself, too
}

// systems are the paths of all systems, and their ids.
func (s *session) systems(ctx context.Context) (paths, ids []string, err error) {
	path := s.collection
	for range 20 { // pages of a collection
		var c struct {
			Members []odataLink
			Next    string `json:"Members@odata.nextLink"`
		}
		if err := s.get(ctx, "find the system", path, &c); err != nil {
			return nil, nil, err
		}
		for _, m := range c.Members {
			paths = append(paths, m.ID)
			link := strings.TrimSuffix(m.ID, "/")
			ids = append(ids, link[strings.LastIndex(link, "/")+1:])
		}
		if path = c.Next; path == "" {
			break
		}
	}
	return paths, ids, nil
}

// find is the path of the system that is meant.
func (s *session) find(ctx context.Context) (string, error) {
	paths, ids, err := s.systems(ctx)
	if err != nil {
		return "", err
	}
	want := cmp.Or(s.w.Target.OutletName, strconv.Itoa(s.w.Target.Outlet))
	if s.w.Target.Outlet != 0 {
		want = strconv.Itoa(s.w.Target.Outlet)
	}
	if i := slices.Index(ids, want); i >= 0 {
		return paths[i], nil
	}
	named := s.w.Target.Outlet == 0 && s.w.Target.OutletName != ""
	if len(paths) == 1 && !named {
		return paths[0], nil
	}
	for i := 0; named && i < min(len(paths), 256); i++ {
		var one computerSystem
		if err := s.get(ctx, "find the system", paths[i], &one); err != nil {
			return "", err
		}
		if one.Name == want || one.ID == want {
			return paths[i], nil
		}
	}
	some := strings.Join(ids[:min(8, len(ids))], ", ")
	return "", s.w.Fail(pcucontrol.NoOutlet, "find the system",
		fmt.Sprintf("none is %q; there are %d: %s", want, len(ids), secret.Mask(some, s.w.Target.Password)))
}

func (s *session) get(ctx context.Context, doing, path string, into any) error {
	a, err := s.ask(ctx, doing, "GET", path, "")
	if err != nil {
		return err
	}
	if err := s.judge(doing, a); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(a.Body), into); err != nil {
		return s.w.Fail(pcucontrol.Unexpected, doing, "no json: "+secret.Mask(err.Error(), s.w.Target.Password))
	}
	return nil
}

// ask sends a request to a link that the device gave, of which only the path is taken: the password is for this device.
func (s *session) ask(ctx context.Context, doing, method, link, body string) (web.Reply, error) {
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return web.Reply{}, s.w.Fail(pcucontrol.Refused, doing,
			"its link is no path: "+wire.Tail(secret.Mask(link, s.w.Target.Password)))
	}
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	return s.w.Call(ctx, doing, method, u.RequestURI(), contentType, body)
}

// judge is what a status means, with the device's own words for it.
func (s *session) judge(doing string, a web.Reply) error {
	err := s.w.Judge(doing, a)
	if err == nil {
		return nil
	}
	keys, why := messages(a.Body)
	why = secret.Mask(why, s.w.Target.Password)
	switch {
	case strings.Contains(keys, "SessionLimitExceeded"):
		return s.w.Fail(pcucontrol.Busy, doing, why)
	case strings.Contains(keys, "UnauthorizedLoginAttempt"),
		strings.Contains(keys, "NoValidSession"),
		a.Status == http.StatusUnauthorized:
		return s.w.Fail(pcucontrol.Auth, doing, cmp.Or(why, "user name or password refused"))
	case why != "":
		return s.w.Fail(pcucontrol.KindOf(err), doing, fmt.Sprintf("status %d: %s", a.Status, why))
	}
	return err
}

// messages are the messages of an error and their keys in the registry, which are for programs; a message that is
// missing is its key.
func messages(body string) (keys, why string) {
	var e struct {
		Error struct {
			Message  string
			Extended []struct{ MessageId, Message string } `json:"@Message.ExtendedInfo"`
		}
	}
	if json.Unmarshal([]byte(body), &e) != nil {
		return "", ""
	}
	words := []string{}
	for _, x := range e.Error.Extended {
		keys += " " + x.MessageId
		words = append(words, cmp.Or(x.Message, x.MessageId))
	}
	text := cmp.Or(strings.Join(words, "; "), e.Error.Message)
	return keys, text[:min(len(text), 300)]
}

// state is PowerState; what is neither on nor off is on its way.
func (c computerSystem) state() pcucontrol.State { return power.StateOf(c.PowerState) }

// resets are the reset types that the system allows; those that every system should, where it does not say.
func (s *session) resets(ctx context.Context) ([]string, error) {
	reset := s.system.Actions.Reset
	if len(reset.Types) > 0 || reset.Info == "" {
		return reset.Types, nil
	}
	var info struct {
		Parameters []struct {
			Name            string
			AllowableValues []string
		}
	}
	if err := s.get(ctx, "find the reset types", reset.Info, &info); err != nil {
		return nil, err
	}
	for _, p := range info.Parameters {
		if p.Name == "ResetType" {
			return p.AllowableValues, nil
		}
	}
	return nil, nil
}

// reset is the command for the first of some types that is allowed, and that type; nil if there is none.
func (s *session) reset(doing string, allowed []string, types ...string) (func(context.Context) error, string) {
	i := slices.IndexFunc(types, func(t string) bool { return slices.Contains(allowed, t) })
	if i < 0 || s.system.Actions.Reset.Target == "" {
		return nil, ""
	}
	return func(ctx context.Context) error {
		a, err := s.ask(ctx, doing, "POST", s.system.Actions.Reset.Target, fmt.Sprintf(`{"ResetType":%q}`, types[i]))
		if err == nil {
			err = s.judge(doing, a)
		}
		return wire.Unsure(s.w.Target, doing, err)
	}, types[i]
}

// Test logs in and switches nothing.
func (Driver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	s := newSession(t)
	defer s.close(ctx)
	if err := s.open(ctx); err != nil {
		return pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}, err
	}
	return pcucontrol.Result{
		Before:   s.system.state(),
		After:    s.system.state(),
		Verified: true,
		Note:     "logged in, found " + s.path,
	}, nil
}

// Status reads the state.
func (Driver) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	s := newSession(t)
	defer s.close(ctx)
	if err := s.open(ctx); err != nil {
		return pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}, err
	}
	return pcucontrol.Result{
		Before:   s.system.state(),
		After:    s.system.state(),
		Verified: s.system.state() != pcucontrol.Unknown,
	}, nil
}

// Switch switches, and reads back.
func (Driver) Switch(ctx context.Context, t pcucontrol.Target, op pcucontrol.Operation) (pcucontrol.Result, error) {
	s := newSession(t)
	defer s.close(ctx)
	if err := s.open(ctx); err != nil {
		return pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}, err
	}
	allowed, err := s.resets(ctx)
	if err != nil {
		return pcucontrol.Result{Before: s.system.state(), After: s.system.state()}, err
	}
	if len(allowed) == 0 {
		allowed = []string{"On", "ForceOff", "ForceRestart"}
	}
	can := power.Operations{Read: func(ctx context.Context) (pcucontrol.State, error) {
		var now computerSystem
		err := s.get(ctx, "read the system", s.path, &now)
		return now.state(), err
	}}
	can.On, _ = s.reset("on", allowed, "On", "ForceOn")
	can.Off, _ = s.reset("off", allowed, "ForceOff", "GracefulShutdown")
	can.Reset, _ = s.reset("reset", allowed, "ForceRestart", "GracefulRestart")
	can.Shutdown, _ = s.reset("shutdown", allowed, "GracefulShutdown")
	var how string
	if can.Cycle, how = s.reset("cycle", allowed, "PowerCycle", "ForceRestart"); how == "PowerCycle" {
		can.Lag = lag // a restart never shows as off
	}
	return can.Knowing(s.system.state()).Perform(ctx, t, op)
}

// bootDevices are the targets of a boot override.
func bootDevices() map[pcucontrol.BootDevice]string {
	return map[pcucontrol.BootDevice]string{pcucontrol.BootNetwork: "Pxe", pcucontrol.BootDisk: "Hdd",
		pcucontrol.BootDefault: "None"}
}

// BootOnce sets the override for one boot, and reads it back.
func (Driver) BootOnce(ctx context.Context, t pcucontrol.Target, device pcucontrol.BootDevice) error {
	s := newSession(t)
	defer s.close(ctx)
	if err := s.open(ctx); err != nil {
		return err
	}
	target, enabled := bootDevices()[device], "Once"
	if device == pcucontrol.BootDefault {
		enabled = "Disabled"
	}
	if s.system.ETag != "" { // some refuse a change without it
		s.w.Header.Set("If-Match", s.system.ETag)
	}
	a, err := s.ask(ctx, "boot once", "PATCH", s.path,
		fmt.Sprintf(`{"Boot":{"BootSourceOverrideEnabled":%q,"BootSourceOverrideTarget":%q}}`, enabled, target))
	s.w.Header.Del("If-Match")
	if err == nil {
		err = s.judge("boot once", a)
	}
	if err != nil {
		return err
	}
	var now computerSystem
	if err := s.get(ctx, "boot once", s.path, &now); err != nil {
		return err
	}
	b := now.Boot
	if b.BootSourceOverrideEnabled == "Disabled" && enabled == "Disabled" { // whatever target it then names
		return nil
	}
	if b.BootSourceOverrideEnabled != enabled || b.BootSourceOverrideTarget != target {
		return s.w.Fail(
			pcucontrol.Refused,
			"boot once",
			fmt.Sprintf("it did not take %s: the override is %q for %q", device,
				secret.Mask(b.BootSourceOverrideEnabled, s.w.Target.Password),
				secret.Mask(b.BootSourceOverrideTarget, s.w.Target.Password)),
		)
	}
	return nil
}

// KnowsNames says that systems are found by their names here.
func (Driver) KnowsNames() bool { return true }

// List reads each system.
func (Driver) List(ctx context.Context, t pcucontrol.Target) ([]pcucontrol.OutletState, error) {
	s := newSession(t)
	defer s.close(ctx)
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	paths, ids, err := s.systems(ctx)
	if err != nil {
		return nil, err
	}
	var found []pcucontrol.OutletState
	for i, path := range paths[:min(len(paths), 256)] {
		var one computerSystem
		if err := s.get(ctx, "read the system", path, &one); err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(ids[i])
		if err != nil || n < 1 {
			n = 0
		}
		found = append(found, pcucontrol.OutletState{Outlet: n, Name: ids[i], State: one.state()})
	}
	return found, nil
}
