package config

import (
	"reflect"
	"time"

	"github.com/planetlab/monitor/policy"
)

// Default is the configuration before any file, variable or flag.
func Default() Config {
	return Config{
		PLC:      PLC{Timeout: 2 * time.Minute, Cache: time.Minute},
		Temporal: Temporal{Address: "127.0.0.1:7233", Namespace: "default"},
		Probe: Probe{
			SSHUser: "root", SSHPorts: []int{22, 806}, PortMap: map[int]int{},
			Timeout: 5 * time.Second, Tries: 3, Parallel: 200, Batch: 100, Ping: true,
		},
		PCU:     PCU{ConnectTimeout: 15 * time.Second, OperationTimeout: 3 * time.Minute, Legacy: []string{}},
		Mail:    Mail{SMTP: "127.0.0.1:25", TLS: TLSStartTLS, Mode: ModeObserve, Admins: []string{}, Timeout: time.Minute},
		RT:      RT{Timeout: 30 * time.Second},
		Webhook: Webhook{Timeout: 10 * time.Second},
		Alerts:  Alerts{Rules: []string{}},
		Policy:  defaultPolicy(),
		Sweep:   Sweep{Every: PolicyTime(30 * time.Minute), Jitter: PolicyTime(time.Minute)},
		HTTP:    HTTP{Listen: "127.0.0.1:8080"},
		Log:     Log{Level: "info", Format: "text"},
	}
}

// defaultPolicy holds the numbers of the policy room, so that a default stands in one place.
func defaultPolicy() Policy {
	day := time.Duration(PolicyDay)
	n := policy.Defaults(day)
	p := Policy{
		Day: day, SiteMinUp: n.SiteMinUp, SiteOutageNodes: n.SiteOutageNodes, MaxReboots: n.MaxReboots,
		NoticeEvery: map[string]PolicyTime{},
		Guard:       Guard(n.Guard), Budget: Budget(n.Budget), Kernels: Kernels(n.Kernels),
	}
	for kind, d := range n.NoticeEvery {
		p.NoticeEvery[kind] = PolicyTime(d)
	}
	eachTime(&p, &n, func(t *PolicyTime, d *time.Duration) { *t = PolicyTime(*d) })
	return p
}

// Numbers are the policy's numbers in real time, scaled to the length of a policy day.
func (p Policy) Numbers() policy.Policy {
	n := policy.Policy{
		Day: p.Day, SiteMinUp: p.SiteMinUp, SiteOutageNodes: p.SiteOutageNodes, MaxReboots: p.MaxReboots,
		NoticeEvery: map[string]time.Duration{},
		Guard:       policy.Guard(p.Guard), Budget: policy.Budget(p.Budget), Kernels: policy.Kernels(p.Kernels),
	}
	for kind, t := range p.NoticeEvery {
		n.NoticeEvery[kind] = t.On(p.Day)
	}
	eachTime(&p, &n, func(t *PolicyTime, d *time.Duration) { *d = t.On(p.Day) })
	return n
}

// eachTime visits every policy time together with the number of the same name.
func eachTime(p *Policy, n *policy.Policy, visit func(*PolicyTime, *time.Duration)) {
	from, to := reflect.ValueOf(p).Elem(), reflect.ValueOf(n).Elem()
	for i := range from.NumField() {
		if t, ok := from.Field(i).Addr().Interface().(*PolicyTime); ok {
			visit(t, to.FieldByName(from.Type().Field(i).Name).Addr().Interface().(*time.Duration))
		}
	}
}
