package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/plc"
)

func plcLogin(ctx context.Context, v *visit) Finding {
	if v.cfg.Inventory.Source != config.InventoryPLC {
		return skipped("there is none: the fleet stands in %s", connect.From(v.cfg))
	}
	api, err := v.plc()
	if err != nil {
		return failed("set plc.url, plc.username and plc.password_file", "%v", err)
	}
	if err := api.AuthCheck(ctx); err != nil {
		v.api = nil
		remedy := "check plc.url, the way there, and plc.ca_file where its authority is your own"
		if errors.Is(err, plc.ErrAuth) {
			remedy = "check plc.username and plc.password_file, and that the account is enabled at PLC"
		}
		return failed(remedy, "%v", err)
	}
	return found("as %s", v.cfg.PLC.Username)
}

func plcAdmin(ctx context.Context, v *visit) Finding {
	if v.api == nil {
		return skipped("no account at PLC is to be tried")
	}
	roles, err := v.api.Roles(ctx)
	switch {
	case err != nil:
		return failed("see plc.login", "%v", err)
	case !slices.Contains(roles, "admin"):
		return failed("give the account the role admin at PLC", "it has the roles %q", roles)
	}
	return found("its roles are %s", strings.Join(roles, ", "))
}

func plcRights(ctx context.Context, v *visit) Finding {
	if v.api == nil {
		return skipped("no account at PLC is to be tried")
	}
	var refused, allowed []string
	for _, r := range v.api.Rights(ctx) {
		switch {
		case r.Err != nil:
			refused = append(refused, fmt.Sprintf("%s, %s: %v", r.Call, r.For, r.Err))
		case r.Rows > 0:
			allowed = append(allowed, fmt.Sprintf("%s (%d)", r.Call, r.Rows))
		default:
			allowed = append(allowed, r.Call)
		}
	}
	if len(refused) > 0 {
		return failed("give the account the role admin at PLC", "%s\nallowed: %s", strings.Join(refused, "\n"),
			strings.Join(allowed, ", "))
	}
	return found("%s", strings.Join(allowed, ", "))
}

// weigh makes a failure a warning where nothing is sent anyway.
func (v *visit) weigh(f Finding) Finding {
	if f.State == Failed && v.cfg.Mode == config.ModeObserve {
		f.State = Warning
		f.Found += " (nothing is sent in observe mode)"
	}
	return f
}

func mail(ctx context.Context, v *visit) Finding {
	c := v.cfg.Mail
	if c.From == "" && v.cfg.Mode == config.ModeObserve {
		return skipped("mail.from is not set, and nothing is sent in observe mode")
	}
	tls, err := c.TLSConfig()
	if err != nil {
		return failed("name the right file", "%v", err)
	}
	s, err := notify.NewSender(notify.Options{Addr: c.SMTP, From: c.From, Username: c.Username,
		Password: c.Password.Reveal(), TLS: c.TLS, TLSConfig: tls, Mode: notify.ModeLive, Timeout: v.Each})
	if err == nil {
		err = s.Check(ctx)
	}
	switch {
	case notify.FailureOf(err) == notify.Auth:
		return v.weigh(failed("check mail.username and mail.password_file", "%v", err))
	case notify.FailureOf(err) == notify.TLS:
		return v.weigh(failed("set mail.tls to what the server offers, and mail.ca_file where its authority is your own", "%v", err))
	case err != nil:
		return v.weigh(failed("check mail.smtp, and that a mail server listens there", "%v", err))
	}
	if to := c.TestAddress; c.Mode == config.MailTest {
		return found("%s takes us; all mail goes to %s, since mail.mode is test", c.SMTP, to)
	}
	return found("%s takes us", c.SMTP)
}

func tracker(ctx context.Context, v *visit) Finding {
	c := v.cfg.RT
	if c.URL == "" {
		return skipped("rt.url is not set: people are written to by mail alone")
	}
	tls, err := c.TLSConfig()
	if err != nil {
		return failed("name the right file", "%v", err)
	}
	t, err := rt.New(rt.Options{URL: c.URL, Token: c.Token.Reveal(), Queue: c.Queue, Timeout: c.Timeout, TLS: tls})
	if err == nil {
		err = t.Check(ctx)
	}
	if err != nil {
		return v.weigh(failed("check rt.url, rt.token_file and rt.queue, and the rights of the token's user on the queue", "%v", err))
	}
	return found("it searches the queue %s", c.Queue)
}
