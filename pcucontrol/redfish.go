package pcucontrol

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
)

// redfish drives what speaks DMTF's Redfish (DSP0266): iLO 5, iDRAC 9, XClarity, OpenBMC and others. It switches the system that the
// outlet's name or number is the id of, that has the name, or the only one there is.
type redfish struct{}

// redfishModel is the model's name.
const redfishModel = "Redfish"

// redfishLag is how long PowerState may tell of the time before a reset: ten seconds and more have been seen.
const redfishLag = 15 * time.Second

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

// redfishSession is a login and the system it is about.
type redfishSession struct {
	w          *web
	session    string // to delete on leaving
	collection string // the path of the systems
	path       string // of the system
	system     computerSystem
}

func newRedfish(t Target) *redfishSession {
	s := &redfishSession{w: newWeb(t, loginNone, true)}
	s.w.header.Set("Accept", "application/json")
	s.w.header.Set("OData-Version", "4.0")
	return s
}

// serviceRoot is what we read of the resource that everything begins with.
type serviceRoot struct {
	Version string `json:"RedfishVersion"`
	Product string
	Systems odataLink
	Links   struct{ Sessions odataLink }
}

// open logs in and reads the system.
func (s *redfishSession) open(ctx context.Context) error {
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
func (s *redfishSession) enter(ctx context.Context) error {
	root, err := s.root(ctx)
	if KindOf(err) == Auth { // it is for everybody to read, but some simple ones guard all they have with Basic
		s.w.use = credentials{basic: true}
		root, err = s.root(ctx)
	}
	if err != nil {
		return err
	}
	if !s.w.use.basic {
		if err := s.login(ctx, root.Links.Sessions.ID); err != nil {
			return err
		}
	}
	s.collection = cmp.Or(root.Systems.ID, "/redfish/v1/Systems")
	return nil
}

func (s *redfishSession) root(ctx context.Context) (root serviceRoot, err error) {
	if err = s.get(ctx, "find the service", "/redfish/v1/", &root); KindOf(err) == Unexpected {
		err = s.get(ctx, "find the service", "/redfish/v1", &root) // some have it only so
	}
	return root, err
}

// login begins a session. A device that has none is told who calls with each request.
func (s *redfishSession) login(ctx context.Context, path string) error {
	if path == "" {
		s.w.use = credentials{basic: true}
		return nil
	}
	body, err := json.Marshal(map[string]string{"UserName": s.w.t.User, "Password": s.w.t.Password})
	if err != nil {
		return s.w.fail(Unexpected, "log in", err.Error())
	}
	a, err := s.ask(ctx, "log in", "POST", path, string(body))
	if err != nil {
		return err
	}
	if token := a.header.Get("X-Auth-Token"); a.status < 300 && token != "" {
		s.w.header.Set("X-Auth-Token", token)
		var made odataLink
		_ = json.Unmarshal([]byte(a.body), &made) // some answer without a body
		s.session = cmp.Or(a.header.Get("Location"), made.ID)
		return nil
	}
	switch err := s.judge("log in", a); KindOf(err) {
	case Auth, Busy:
		return err
	}
	s.w.use = credentials{basic: true}
	return nil
}

// close ends the session, also when there is no time left for more.
func (s *redfishSession) close(ctx context.Context) {
	defer s.w.close()
	if s.session == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, _ = s.ask(ctx, "log out", "DELETE", s.session, "") // it ends by itself, too
}

// systems are the paths of all systems, and their ids.
func (s *redfishSession) systems(ctx context.Context) (paths, ids []string, err error) {
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
func (s *redfishSession) find(ctx context.Context) (string, error) {
	paths, ids, err := s.systems(ctx)
	if err != nil {
		return "", err
	}
	want := cmp.Or(s.w.t.OutletName, strconv.Itoa(s.w.t.Outlet))
	if s.w.t.Outlet != 0 {
		want = strconv.Itoa(s.w.t.Outlet)
	}
	if i := slices.Index(ids, want); i >= 0 {
		return paths[i], nil
	}
	named := s.w.t.Outlet == 0 && s.w.t.OutletName != ""
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
	return "", s.w.fail(NoOutlet, "find the system", fmt.Sprintf("none is %q; there are %d: %s", want, len(ids), mask(some, s.w.t.Password)))
}

func (s *redfishSession) get(ctx context.Context, doing, path string, into any) error {
	a, err := s.ask(ctx, doing, "GET", path, "")
	if err != nil {
		return err
	}
	if err := s.judge(doing, a); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		return s.w.fail(Unexpected, doing, "no json: "+mask(err.Error(), s.w.t.Password))
	}
	return nil
}

// ask sends a request to a link that the device gave, of which only the path is taken: the password is for this device.
func (s *redfishSession) ask(ctx context.Context, doing, method, link, body string) (reply, error) {
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return reply{}, s.w.fail(Refused, doing, "its link is no path: "+tail(mask(link, s.w.t.Password)))
	}
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	return s.w.call(ctx, doing, method, u.RequestURI(), contentType, body)
}

// judge is what a status means, with the device's own words for it.
func (s *redfishSession) judge(doing string, a reply) error {
	err := s.w.judge(doing, a)
	if err == nil {
		return nil
	}
	keys, why := redfishWords(a.body)
	why = mask(why, s.w.t.Password)
	switch {
	case strings.Contains(keys, "SessionLimitExceeded"):
		return s.w.fail(Busy, doing, why)
	case strings.Contains(keys, "UnauthorizedLoginAttempt"), strings.Contains(keys, "NoValidSession"), a.status == http.StatusUnauthorized:
		return s.w.fail(Auth, doing, cmp.Or(why, "user name or password refused"))
	case why != "":
		return s.w.fail(KindOf(err), doing, fmt.Sprintf("status %d: %s", a.status, why))
	}
	return err
}

// redfishWords are the messages of an error and their keys in the registry, which are for programs; a message that is missing is its key.
func redfishWords(body string) (keys, why string) {
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
func (c computerSystem) state() State { return states{}.of(c.PowerState) }

// resets are the reset types that the system allows; those that every system should, where it does not say.
func (s *redfishSession) resets(ctx context.Context) ([]string, error) {
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
func (s *redfishSession) reset(doing string, allowed []string, types ...string) (func(context.Context) error, string) {
	i := slices.IndexFunc(types, func(t string) bool { return slices.Contains(allowed, t) })
	if i < 0 || s.system.Actions.Reset.Target == "" {
		return nil, ""
	}
	return func(ctx context.Context) error {
		a, err := s.ask(ctx, doing, "POST", s.system.Actions.Reset.Target, fmt.Sprintf(`{"ResetType":%q}`, types[i]))
		if err == nil {
			err = s.judge(doing, a)
		}
		return unsure(s.w.t, doing, err)
	}, types[i]
}

func (redfish) test(ctx context.Context, t Target) (Result, error) {
	s := newRedfish(t)
	defer s.close(ctx)
	if err := s.open(ctx); err != nil {
		return Result{Before: Unknown, After: Unknown}, err
	}
	return Result{Before: s.system.state(), After: s.system.state(), Verified: true, Note: "logged in, found " + s.path}, nil
}

func (redfish) status(ctx context.Context, t Target) (Result, error) {
	s := newRedfish(t)
	defer s.close(ctx)
	if err := s.open(ctx); err != nil {
		return Result{Before: Unknown, After: Unknown}, err
	}
	return Result{Before: s.system.state(), After: s.system.state(), Verified: s.system.state() != Unknown}, nil
}

func (redfish) set(ctx context.Context, t Target, op operation) (Result, error) {
	s := newRedfish(t)
	defer s.close(ctx)
	if err := s.open(ctx); err != nil {
		return Result{Before: Unknown, After: Unknown}, err
	}
	allowed, err := s.resets(ctx)
	if err != nil {
		return Result{Before: s.system.state(), After: s.system.state()}, err
	}
	if len(allowed) == 0 {
		allowed = []string{"On", "ForceOff", "ForceRestart"}
	}
	can := switches{read: func(ctx context.Context) (State, error) {
		var now computerSystem
		err := s.get(ctx, "read the system", s.path, &now)
		return now.state(), err
	}}
	can.on, _ = s.reset("on", allowed, "On", "ForceOn")
	can.off, _ = s.reset("off", allowed, "ForceOff", "GracefulShutdown")
	can.reset, _ = s.reset("reset", allowed, "ForceRestart", "GracefulRestart")
	can.shutdown, _ = s.reset("shutdown", allowed, "GracefulShutdown")
	var how string
	if can.cycle, how = s.reset("cycle", allowed, "PowerCycle", "ForceRestart"); how == "PowerCycle" {
		can.lag = redfishLag // a restart never shows as off
	}
	return can.knowing(s.system.state()).set(ctx, t, op)
}

// redfishBootDevices are the targets of a boot override.
func redfishBootDevices() map[BootDevice]string {
	return map[BootDevice]string{BootNetwork: "Pxe", BootDisk: "Hdd"}
}

// bootOnce sets the override for one boot, and reads it back.
func (redfish) bootOnce(ctx context.Context, t Target, device BootDevice) error {
	s := newRedfish(t)
	defer s.close(ctx)
	if err := s.open(ctx); err != nil {
		return err
	}
	target := redfishBootDevices()[device]
	if s.system.ETag != "" { // some refuse a change without it
		s.w.header.Set("If-Match", s.system.ETag)
	}
	a, err := s.ask(ctx, "boot once", "PATCH", s.path, fmt.Sprintf(`{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":%q}}`, target))
	s.w.header.Del("If-Match")
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
	if b := now.Boot; b.BootSourceOverrideEnabled != "Once" || b.BootSourceOverrideTarget != target {
		return s.w.fail(Refused, "boot once", fmt.Sprintf("it did not take %s: the override is %q for %q", device, mask(b.BootSourceOverrideEnabled, s.w.t.Password), mask(b.BootSourceOverrideTarget, s.w.t.Password)))
	}
	return nil
}

func (redfish) knowsNames() {}

// list reads each system.
func (redfish) list(ctx context.Context, t Target) ([]OutletState, error) {
	s := newRedfish(t)
	defer s.close(ctx)
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	paths, ids, err := s.systems(ctx)
	if err != nil {
		return nil, err
	}
	var found []OutletState
	for i, path := range paths[:min(len(paths), 256)] {
		var one computerSystem
		if err := s.get(ctx, "read the system", path, &one); err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(ids[i])
		if err != nil || n < 1 {
			n = 0
		}
		found = append(found, OutletState{Outlet: n, Name: ids[i], State: one.state()})
	}
	return found, nil
}
