package config

import (
	"time"

	"github.com/planetlab/monitor/policy"
)

// Default is the configuration before any file, variable or flag.
func Default() Config {
	return Config{
		Mode: ModeObserve,
		PLC:  PLC{Timeout: 2 * time.Minute, Cache: time.Minute},
		Inventory: Inventory{
			Source:    InventoryPLC,
			Ansible:   Ansible{Command: []string{}, Timeout: time.Minute},
			Reinstall: Hook{Command: []string{}, Timeout: time.Minute},
			Penalty:   Hook{Command: []string{}, Timeout: time.Minute},
		},
		Secrets:  Secrets{OldKeyFiles: []string{}},
		Temporal: Temporal{Address: "127.0.0.1:7233", Namespace: "default"},
		Probe: Probe{
			SSHUser: "root", SSHKeyFiles: []string{}, SSHPorts: []int{22, 806}, OpenPorts: []int{22, 80, 806}, PortMap: map[int]int{},
			Timeout: 5 * time.Second, Tries: 3, Parallel: 200, Batch: 250, Ping: true,
		},
		PCU:     PCU{ConnectTimeout: 15 * time.Second, OperationTimeout: 3 * time.Minute, Legacy: []string{}, ClearText: ClearTextRecord, Networks: []string{}},
		Mail:    Mail{SMTP: "127.0.0.1:25", TLS: TLSStartTLS, Mode: MailTest, Admins: []string{}, ProbesFrom: []string{}, Timeout: time.Minute},
		RT:      RT{Timeout: 30 * time.Second},
		Webhook: Webhook{Timeout: 10 * time.Second},
		Alerts:  Alerts{Rules: []string{}},
		Sources: Sources{Timeout: 30 * time.Second, Fresh: 2 * time.Hour,
			Prometheus: PrometheusSource{Label: "instance"}, Table: TableSource{Node: "name"}, Lines: LinesSource{Command: []string{}}},
		Policy:  policy.Defaults(policyDay),
		Sweep:   Sweep{Every: 30 * time.Minute, Jitter: time.Minute},
		Retain:  Retention{History: 400 * policyDay, Ledger: 800 * policyDay, Stories: 800 * policyDay, Logs: 90 * policyDay},
		HTTP:    HTTP{Listen: "127.0.0.1:8080"},
		Metrics: Metrics{Listen: "127.0.0.1:9464"},
		Tracing: Tracing{Share: 1},
		Web: Web{Listen: "127.0.0.1:8081", Public: PublicOff, PLCLogin: true, Operators: []string{}, Admins: []string{}, OIDCName: "OpenID Connect",
			OIDCRolesClaim: "groups", OIDCViewers: []string{}, OIDCOperators: []string{}, OIDCAdmins: []string{}},
		Log: Log{Level: "info", Format: "text"},
	}
}
