package config

import "fmt"

// The values of mail.mode.
const (
	MailLive = "live" // mail goes to the people
	MailTest = "test" // all mail goes to mail.test_address and names those who would have got it

	mailObserve = "observe" // how mode: observe was written before it was a setting of its own
)

// MailMode is what becomes of mail: observe, since then nothing leaves, else what mail.mode says.
func (c *Config) MailMode() string {
	if c.Mode == ModeObserve {
		return mailObserve
	}
	return c.Mail.Mode
}

// readOldModes takes the modes from before they were two settings. Whoever wrote mail.mode: observe gets what was meant, unless mode
// says the opposite: then only its author can tell. Whoever wrote mail.mode: live alone is told that it no longer makes Monitor act.
func (l *loader) readOldModes() {
	mailMode, modePlace := l.where["mail.mode"], l.where["mode"]
	switch {
	case l.cfg.Mail.Mode == mailObserve && l.cfg.Mode == ModeAct:
		l.fail(fmt.Errorf("%s: mail.mode: observe is the old spelling of mode: observe, but %s sets mode: act; let mail.mode be live or test",
			mailMode, modePlace))
	case l.cfg.Mail.Mode == mailObserve:
		l.cfg.Mail.Mode = Default().Mail.Mode
		l.warn("%s: mail.mode: observe is an old spelling: write mode: observe", mailMode)
	case mailMode != "" && modePlace == "":
		l.warn("%s: mail.mode: %s counts only with mode: act; without it Monitor observes and sends nothing", mailMode, l.cfg.Mail.Mode)
	}
}

func (l *loader) warn(format string, args ...any) {
	l.cfg.Warnings = append(l.cfg.Warnings, fmt.Sprintf(format, args...))
}
