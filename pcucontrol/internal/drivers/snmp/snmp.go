// Package snmp drives switched racks by SNMP.
package snmp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gosnmp/gosnmp"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// Driver drives switched racks by SNMP. A command is sent once: one that got no answer is ambiguous.
type Driver struct{ tables []Table }

// New drives racks that have one of these tables, the first that has the outlet being taken.
func New(tables []Table) Driver { return Driver{tables} }

// sysObjectID is what a dry run without an outlet reads: every agent has it.
const sysObjectID = ".1.3.6.1.2.1.1.2.0"

// agent is a device that is asked by SNMP.
type agent struct {
	*gosnmp.GoSNMP
	t      pcucontrol.Target
	tables []Table
	table  Table
}

// logins are the ways to ask that a record means. Its user name says which: "v1" or "v2c", the password being the
// community; "v3 NAME [AUTH [PRIVACY]]", where AUTH is sha unless it is md5, sha224, sha256, sha384 or sha512, PRIVACY
// is aes unless it is des, aes192, aes256 or none, and the password holds both passwords with a space between them, or
// one for both. Any other name means nothing to SNMP: the community is tried in v1, which every rack of APC's speaks,
// and in v2c.
func logins(t pcucontrol.Target) ([]gosnmp.GoSNMP, error) {
	community := func(versions ...gosnmp.SnmpVersion) (list []gosnmp.GoSNMP, err error) {
		if t.Password == "" || len(t.Password) > 127 {
			return nil, wire.Fail(t, pcucontrol.Auth, "log in", "the password is the community, of 1 to 127 characters")
		}
		for _, v := range versions {
			list = append(list, gosnmp.GoSNMP{Version: v, Community: t.Password})
		}
		return list, nil
	}
	words := strings.Fields(t.User)
	switch {
	case len(words) == 1 && strings.EqualFold(words[0], "v1"):
		return community(gosnmp.Version1)
	case len(words) == 1 && strings.EqualFold(words[0], "v2c"):
		return community(gosnmp.Version2c)
	case len(words) == 0 || !strings.EqualFold(words[0], "v3"):
		return community(gosnmp.Version1, gosnmp.Version2c)
	}
	hash, cipher := "sha", "aes"
	if len(words) > 2 {
		hash = strings.ToLower(words[2])
	}
	if len(words) > 3 {
		cipher = strings.ToLower(words[3])
	}
	auth, known := map[string]gosnmp.SnmpV3AuthProtocol{"md5": gosnmp.MD5, "sha": gosnmp.SHA, "sha224": gosnmp.SHA224,
		"sha256": gosnmp.SHA256, "sha384": gosnmp.SHA384, "sha512": gosnmp.SHA512}[hash]
	privacy, also := map[string]gosnmp.SnmpV3PrivProtocol{"none": gosnmp.NoPriv, "des": gosnmp.DES, "aes": gosnmp.AES,
		"aes192": gosnmp.AES192, "aes256": gosnmp.AES256}[cipher]
	first, second, two := strings.Cut(t.Password, " ")
	if !two {
		second = first
	}
	if len(words) < 2 || len(words) > 4 || !known || !also || len(first) < 8 || len(second) < 8 {
		return nil, wire.Fail(t, pcucontrol.Auth, "log in",
			`SNMP v3 wants a user name as "v3 monitor sha aes", and passwords of at least 8 characters`)
	}
	flags := gosnmp.AuthPriv
	if privacy == gosnmp.NoPriv {
		flags = gosnmp.AuthNoPriv
	}
	return []gosnmp.GoSNMP{
		{
			Version:       gosnmp.Version3,
			SecurityModel: gosnmp.UserSecurityModel,
			MsgFlags:      flags,
			SecurityParameters: &gosnmp.UsmSecurityParameters{
				UserName: words[1], AuthenticationProtocol: auth, AuthenticationPassphrase: first,
				PrivacyProtocol: privacy, PrivacyPassphrase: second,
			},
		},
	}, nil
}

// with asks the device in the versions that the record means until one is answered, and runs f with the state of the
// outlet.
func (d Driver) with(ctx context.Context, t pcucontrol.Target, f func(*agent, pcucontrol.State) error) error {
	logins, err := logins(t)
	if err != nil {
		return err
	}
	patience := 2 * time.Second // for one of three tries
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)/time.Duration(3*len(logins)+2))
	}
	for i := range logins {
		g := &logins[i]
		g.Target, g.Port, g.Transport, g.Context = t.Host, uint16(t.Port), "udp", ctx
		g.Timeout, g.Retries, g.MaxOids = patience, 2, gosnmp.MaxOids
		if err = g.Connect(); err != nil {
			return wire.DialError(t, err)
		}
		conn := g.Conn // g.Close forgets it
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		a := &agent{g, t, d.tables, Table{}}
		state, err := a.find(ctx)
		silent := pcucontrol.KindOf(err) == pcucontrol.Timeout
		if err == nil {
			err = f(a, state)
		}
		if silent && g.MsgFlags&gosnmp.AuthPriv == gosnmp.AuthPriv && ctx.Err() == nil {
			err = a.withoutPrivacy(ctx, err)
		}
		stop()
		_ = g.Close()
		if !silent || ctx.Err() != nil || i == len(logins)-1 {
			return err
		}
	}
	return nil // there always is a login
}

// withoutPrivacy asks a silent agent of v3 without encryption. What it cannot decrypt it drops without a word, so that
// a wrong privacy password looks as if nobody were there; to this question it answers, if only that it wants privacy.
func (a *agent) withoutPrivacy(ctx context.Context, silence error) error {
	known, ok := a.SecurityParameters.(*gosnmp.UsmSecurityParameters)
	if !ok {
		return silence
	}
	plain := gosnmp.GoSNMP{
		Target: a.Target, Port: a.Port, Transport: a.Transport, Context: a.Context, Timeout: a.Timeout,
		MaxOids: a.MaxOids,
		Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MsgFlags: gosnmp.AuthNoPriv,
		SecurityParameters: &gosnmp.UsmSecurityParameters{
			UserName: known.UserName, AuthenticationProtocol: known.AuthenticationProtocol,
			AuthenticationPassphrase: known.AuthenticationPassphrase,
			PrivacyProtocol:          gosnmp.NoPriv,
		},
	}
	if plain.Connect() != nil {
		return silence
	}
	defer func() { _ = plain.Close() }()
	conn := plain.Conn
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	a.trace("> get %s without privacy", sysObjectID)
	if _, err := plain.Get([]string{sysObjectID}); err != nil {
		return silence
	}
	return a.fail(pcucontrol.Auth, "log in",
		"the privacy password, or its cipher, is not the agent's; the other password is right")
}

// find finds the table that the outlet is in, and its state.
func (a *agent) find(ctx context.Context) (pcucontrol.State, error) {
	if a.t.Outlet == 0 {
		_, err := a.get(ctx, "log in", sysObjectID)
		return pcucontrol.Unknown, err
	}
	for _, a.table = range a.tables {
		if state, err := a.state(ctx); pcucontrol.KindOf(err) != pcucontrol.NoOutlet {
			return state, err
		}
	}
	return pcucontrol.Unknown, a.fail(pcucontrol.NoOutlet, "find the outlet",
		fmt.Sprintf("it has no outlet %d", a.t.Outlet))
}

func (a *agent) fail(kind pcucontrol.Kind, doing, detail string) error {
	return wire.Fail(a.t, kind, doing, detail)
}

func (a *agent) state(ctx context.Context) (pcucontrol.State, error) {
	v, err := a.get(ctx, "status", a.table.row(a.table.state, a.t.Outlet))
	if err != nil {
		return pcucontrol.Unknown, err
	}
	return a.table.of(v), nil
}

func (table Table) of(v gosnmp.SnmpPDU) pcucontrol.State {
	switch n, ok := v.Value.(int); {
	case ok && n == table.on:
		return pcucontrol.On
	case ok && n == table.off:
		return pcucontrol.Off
	}
	return pcucontrol.Unknown // such as an outlet that waits for its delay
}

func (a *agent) get(ctx context.Context, doing, oid string) (gosnmp.SnmpPDU, error) {
	a.trace("> get %s", oid)
	packet, err := a.Get([]string{oid})
	if err != nil {
		return gosnmp.SnmpPDU{}, a.lost(ctx, doing, err)
	}
	v, kind, detail := understand(packet)
	a.trace("< %v %v", v.Type, v.Value)
	if kind != "" {
		return v, a.fail(kind, doing, detail)
	}
	return v, nil
}

// understand is what an answer says: a value, or an error in the words of v1 or of v2.
func understand(p *gosnmp.SnmpPacket) (v gosnmp.SnmpPDU, kind pcucontrol.Kind, detail string) {
	if len(p.Variables) > 0 {
		v = p.Variables[0]
	}
	switch p.Error {
	case gosnmp.NoError:
	case gosnmp.NoSuchName: // of v1
		return v, pcucontrol.NoOutlet, "the device does not know it"
	case gosnmp.ReadOnly, gosnmp.NoAccess, gosnmp.NotWritable, gosnmp.AuthorizationError:
		return v, pcucontrol.Refused, "it may not be written with this name or community"
	case gosnmp.ResourceUnavailable:
		return v, pcucontrol.Busy, "the device has no resources"
	default:
		return v, pcucontrol.Refused, fmt.Sprintf("error status %v", p.Error)
	}
	switch v.Type {
	case gosnmp.NoSuchObject, gosnmp.NoSuchInstance, gosnmp.EndOfMibView:
		return v, pcucontrol.NoOutlet, "the device does not know it"
	case gosnmp.Integer, gosnmp.ObjectIdentifier:
		return v, "", ""
	}
	return v, pcucontrol.Unexpected, fmt.Sprintf("a value of type 0x%02x", byte(v.Type))
}

// lost is what it means that no answer came, or none that can be read.
func (a *agent) lost(ctx context.Context, doing string, err error) error {
	a.trace("< nothing")
	var ne net.Error
	switch {
	case errors.Is(err, gosnmp.ErrUnknownUsername),
		errors.Is(err, gosnmp.ErrWrongDigest),
		errors.Is(err, gosnmp.ErrDecryption),
		errors.Is(err, gosnmp.ErrUnknownSecurityLevel):
		return a.fail(pcucontrol.Auth, doing, err.Error())
	// so the library passes over the report of a wrong name or password, which nobody can sign
	case strings.Contains(err.Error(), "not authentic"):
		return a.fail(pcucontrol.Auth, doing, "user name or password refused")
	case errors.Is(err, syscall.ECONNREFUSED):
		return a.fail(pcucontrol.Unreachable, doing, fmt.Sprintf("port %d is closed", a.t.Port))
	case ctx.Err() != nil,
		errors.Is(err, gosnmp.ErrMaxRetriesExceeded),
		errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &ne) && ne.Timeout():
		if a.Version == gosnmp.Version3 {
			return a.fail(pcucontrol.Timeout, doing, "no answer")
		}
		return a.fail(pcucontrol.Timeout, doing, "no answer; a wrong community shows so, too")
	}
	return a.fail(pcucontrol.Unexpected, doing, "what it answers is no SNMP") // the library's text may hold a stack
}

func (a *agent) trace(format string, args ...any) {
	if a.t.Trace != nil {
		a.t.Trace(secret.Mask(fmt.Sprintf(format, args...), a.t.Password))
	}
}

// List walks the first table that has outlets.
func (d Driver) List(ctx context.Context, t pcucontrol.Target) (found []pcucontrol.OutletState, err error) {
	t.Outlet, t.OutletName = 0, ""
	err = d.with(ctx, t, func(a *agent, _ pcucontrol.State) error {
		for _, table := range d.tables {
			states, err := a.walk(ctx, table.state)
			if err != nil {
				return err
			}
			if len(states) == 0 {
				continue
			}
			names, err := a.walk(ctx, table.name)
			if err != nil {
				return err
			}
			for _, v := range states {
				row, _ := strconv.Atoi(strings.TrimPrefix(v.Name, table.state))
				n := row + table.shift
				o := pcucontrol.OutletState{Outlet: n, State: table.of(v)}
				for _, name := range names {
					if text, ok := name.Value.([]byte); ok &&
						name.Name == table.row(table.name, n) {
						o.Name = string(text)
					}
				}
				found = append(found, o)
			}
			return nil
		}
		return a.fail(pcucontrol.NoOutlet, "list", "it has no table of outlets that is known")
	})
	return found, err
}

// walk reads the rows of a column.
func (a *agent) walk(ctx context.Context, column string) ([]gosnmp.SnmpPDU, error) {
	a.trace("> walk %s", column)
	var rows []gosnmp.SnmpPDU
	err := a.Walk(strings.TrimSuffix(column, "."), func(v gosnmp.SnmpPDU) error {
		if rows = append(rows, v); len(rows) > 1000 {
			return wire.ErrEndless
		}
		return nil
	})
	a.trace("< %d rows", len(rows))
	if err != nil {
		return nil, a.lost(ctx, "list", err)
	}
	return rows, nil
}

// command writes the outlet's command, once.
func (a *agent) command(ctx context.Context, op pcucontrol.Operation) error {
	c := a.table.commands[map[pcucontrol.Operation]int{pcucontrol.OpOn: 0, pcucontrol.OpOff: 1,
		pcucontrol.OpCycle: 2}[op]]
	oid := a.table.row(c.column, a.t.Outlet)
	a.trace("> set %s = %d", oid, c.value)
	patience := a.Timeout
	a.Retries, a.Timeout = 0, 10*time.Second
	packet, err := a.Set([]gosnmp.SnmpPDU{{Name: oid, Type: gosnmp.Integer, Value: c.value}})
	a.Retries, a.Timeout = 2, patience
	if err != nil {
		// the password was right a moment ago: the answer is somebody else's
		if err = a.lost(ctx, string(op), err); pcucontrol.KindOf(err) == pcucontrol.Auth {
			err = a.fail(pcucontrol.Unexpected, string(op), "an answer that is not signed")
		}
		return wire.Unsure(a.t, string(op), err)
	}
	v, kind, detail := understand(packet)
	a.trace("< %v %v", v.Type, v.Value)
	switch kind {
	case "":
		return nil
	case pcucontrol.NoOutlet: // it could be read a moment ago
		return a.fail(pcucontrol.Refused, string(op), "it may not be written with this name or community")
	default:
		return a.fail(kind, string(op), detail)
	}
}

// Test logs in and switches nothing.
func (d Driver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	return d.look(ctx, t, "it answers; whether the outlet may be written is known only by writing")
}

// Status reads the state.
func (d Driver) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	return d.look(ctx, t, "")
}

func (d Driver) look(ctx context.Context, t pcucontrol.Target, note string) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown, Note: note}
	err := d.with(ctx, t, func(_ *agent, state pcucontrol.State) error {
		r.Before, r.After = state, state
		return nil
	})
	r.Verified = err == nil && (t.Outlet == 0 || r.After != pcucontrol.Unknown)
	return r, err
}

// Switch switches, and reads back.
func (d Driver) Switch(ctx context.Context, t pcucontrol.Target,
	op pcucontrol.Operation,
) (r pcucontrol.Result, err error) {
	r = pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}
	err = d.with(ctx, t, func(a *agent, found pcucontrol.State) error {
		first := true
		read := func(ctx context.Context) (pcucontrol.State, error) {
			if first {
				first = false
				return found, nil
			}
			return a.state(ctx)
		}
		command := func(op pcucontrol.Operation) func(context.Context) error {
			return func(ctx context.Context) error { return a.command(ctx, op) }
		}
		r, err = power.Operations{
			Read:  read,
			On:    command(pcucontrol.OpOn),
			Off:   command(pcucontrol.OpOff),
			Cycle: command(pcucontrol.OpCycle),
		}.Perform(ctx, t, op)
		return err
	})
	return r, err
}

// Clear reports whether the community would travel so that everybody can read it: all but version 3 do that.
func (Driver) Clear(t pcucontrol.Target) bool {
	words := strings.Fields(t.User)
	return len(words) == 0 || !strings.EqualFold(words[0], "v3")
}
