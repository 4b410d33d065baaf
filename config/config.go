// Package config is the one configuration that every Monitor program reads: defaults, then a YAML file, then the
// environment, then flags. What it hands out is checked and complete, so no other room tests a setting for nonsense.
package config

import (
	"time"

	"github.com/planetlab/monitor/policy"
)

// Config is everything an operator may set. The file monitor.sample.yaml documents every key.
type Config struct {
	Mode Mode `yaml:"mode"`
	PLC  PLC  `yaml:"plc"`
	// Inventory says what the fleet is made of, where PLC does not.
	Inventory Inventory     `yaml:"inventory"`
	Database  Database      `yaml:"database"`
	Secrets   Secrets       `yaml:"secrets"`
	Temporal  Temporal      `yaml:"temporal"`
	Probe     Probe         `yaml:"probe"`
	PCU       PCU           `yaml:"pcu"`
	Mail      Mail          `yaml:"mail"`
	RT        RT            `yaml:"rt"`
	Webhook   Webhook       `yaml:"webhook"`
	Alerts    Alerts        `yaml:"alertmanager"`
	Sources   Sources       `yaml:"sources"`
	Policy    policy.Policy `yaml:"policy"` // as configured: see [policy.Policy.InRealTime]
	Sweep     Sweep         `yaml:"sweep"`
	Retain    Retention     `yaml:"retention"`
	HTTP      HTTP          `yaml:"http"`
	Metrics   Metrics       `yaml:"metrics"`
	Tracing   Tracing       `yaml:"tracing"`
	Web       Web           `yaml:"web"`
	// Groups are expressions of --select by name: @name stands for them wherever nodes are selected.
	Groups map[string]string `yaml:"groups"`
	// Rules are expressions by name: a node of which one holds has an issue of type nodefact.
	Rules map[string]string `yaml:"rules"`
	Log   Log               `yaml:"log"`

	// Warnings are what [Load] accepted, though it should be written otherwise; each names its place.
	Warnings []string `yaml:"-"`
}

// Mode is how much of the world Monitor may touch.
type Mode string

// The modes.
const (
	ModeObserve Mode = "observe" // nothing leaves: Monitor looks, decides, and writes down what it would do
	ModeAct     Mode = "act"     // it works; mail.mode says who gets its mail
)

// PLC says where the PlanetLab Central API is and who Monitor is there.
type PLC struct {
	URL          string        `yaml:"url"`
	Username     string        `yaml:"username"`
	Password     Secret        `yaml:"password"`
	PasswordFile string        `yaml:"password_file"`
	CAFile       string        `yaml:"ca_file"`
	Timeout      time.Duration `yaml:"timeout"`
	// Cache is the real time for which a worker may reuse what it read from PLC.
	Cache time.Duration `yaml:"cache"`
}

// Database is the Postgres that holds Monitor's memory.
type Database struct {
	URL     Secret `yaml:"url"`
	URLFile string `yaml:"url_file"`
}

// Secrets names the key that encrypts PCU passwords at rest; [Secrets.Key] reads it.
type Secrets struct {
	KeyFile string `yaml:"key_file"`
	// OldKeyFiles are keys that were used before: what they sealed is still read, and sealed anew with the key of today.
	OldKeyFiles []string `yaml:"old_key_files"`
}

// Temporal says how to reach the Temporal service.
type Temporal struct {
	Address       string `yaml:"address"`
	Namespace     string `yaml:"namespace"`
	APIKey        Secret `yaml:"api_key"`
	APIKeyFile    string `yaml:"api_key_file"`
	TLS           bool   `yaml:"tls"`
	TLSCAFile     string `yaml:"tls_ca_file"`
	TLSCertFile   string `yaml:"tls_cert_file"`
	TLSKeyFile    string `yaml:"tls_key_file"`
	TLSServerName string `yaml:"tls_server_name"`
	// PayloadKeyFile is the key under which all that Monitor hands to Temporal is encrypted; empty: it is readable there.
	PayloadKeyFile string `yaml:"payload_key_file"`
}

// Probe says how nodes are looked at.
type Probe struct {
	SSHUser    string `yaml:"ssh_user"`
	SSHKeyFile string `yaml:"ssh_key_file"`
	// SSHKeyFiles are more keys: PLC opens nodes in debug mode with another one than those in production.
	SSHKeyFiles []string `yaml:"ssh_key_files"`
	// BootServer is the name that every node must be able to resolve.
	BootServer string `yaml:"boot_server"`
	// SSHPorts are the ports on which a node may answer ssh, in the order they are tried.
	SSHPorts []int `yaml:"ssh_ports"`
	// OpenPorts are those that must be open on a node that runs.
	OpenPorts []int `yaml:"open_ports"`
	// Facts are what else is asked of each node: a name, and the command that says it there.
	Facts map[string]string `yaml:"facts"`
	// PortMap leads a logical port to the one really dialled. A port that is not in it is dialled as it is.
	PortMap  map[int]int   `yaml:"port_map"`
	Timeout  time.Duration `yaml:"timeout"`
	Tries    int           `yaml:"tries"`
	Parallel int           `yaml:"parallel"`
	// Batch is the number of nodes that one activity looks at.
	Batch    int    `yaml:"batch"`
	Resolver string `yaml:"resolver"`
	Ping     bool   `yaml:"ping"`
}

// KeyFile is a private key and the setting that names it.
type KeyFile struct{ Setting, Path string }

// Keys are the files of all private keys, the first setting's first.
func (p Probe) Keys() []KeyFile {
	var keys []KeyFile
	if p.SSHKeyFile != "" {
		keys = append(keys, KeyFile{"probe.ssh_key_file", p.SSHKeyFile})
	}
	for _, path := range p.SSHKeyFiles {
		keys = append(keys, KeyFile{"probe.ssh_key_files", path})
	}
	return keys
}

// PCU says how power control units are driven.
type PCU struct {
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// OperationTimeout bounds one whole power operation, login and verification included.
	OperationTimeout time.Duration `yaml:"operation_timeout"`
	// ModelsDir is a folder of model files of the operator's own.
	ModelsDir string `yaml:"models_dir"`
	// Legacy names PCUs, or models, that may speak what is no longer safe.
	Legacy []string `yaml:"legacy"`
	// ClearText says whether a password may go where everybody on the way can read it: refuse, record or allow.
	ClearText string `yaml:"clear_text"`
	// Networks are those where PCUs may be, as 10.1.0.0/16; empty: everywhere but at addresses of this machine and its link.
	Networks []string `yaml:"networks"`
}

// Mail says how notices leave, and whom they reach.
type Mail struct {
	SMTP         string `yaml:"smtp"`
	From         string `yaml:"from"`
	ReplyTo      string `yaml:"reply_to"`
	Username     string `yaml:"username"`
	Password     Secret `yaml:"password"`
	PasswordFile string `yaml:"password_file"`
	// TLS is none, starttls or tls.
	TLS    string `yaml:"tls"`
	CAFile string `yaml:"ca_file"`
	// Mode is live or test. It counts when Monitor acts: see [Config.MailMode].
	Mode        string        `yaml:"mode"`
	TestAddress string        `yaml:"test_address"`
	Admins      []string      `yaml:"admins"`
	Pages       string        `yaml:"pages"`       // address of PLC's web pages, for links to nodes and PCUs
	ProbesFrom  []string      `yaml:"probes_from"` // addresses from which Monitor looks, for those who open a firewall
	Timeout     time.Duration `yaml:"timeout"`
}

// RT is the Request Tracker where each site has its ticket. Without a URL the site's people are written to by mail alone.
type RT struct {
	URL       string        `yaml:"url"`
	Token     Secret        `yaml:"token"`
	TokenFile string        `yaml:"token_file"`
	Queue     string        `yaml:"queue"`
	CAFile    string        `yaml:"ca_file"`
	Timeout   time.Duration `yaml:"timeout"`
}

// Webhook is where what happens is posted. Its URL is a secret, since such URLs carry what lets one post.
type Webhook struct {
	URL     Secret        `yaml:"url"`
	URLFile string        `yaml:"url_file"`
	Key     Secret        `yaml:"key"`
	KeyFile string        `yaml:"key_file"`
	Timeout time.Duration `yaml:"timeout"`
}

// Alerts say which of Prometheus' alerts open an issue; see [ParseAlertRule] for the form of a rule.
type Alerts struct {
	Rules     []string `yaml:"rules"`
	Token     Secret   `yaml:"token"`
	TokenFile string   `yaml:"token_file"`
}

// Sweep says how often the whole fleet is looked at. Both times count policy days, as those of the policy do.
type Sweep struct {
	Every  time.Duration `yaml:"every"`
	Jitter time.Duration `yaml:"jitter"`
}

// Retention is how long the past is kept, in policy days; 0: for ever. What is still open, held or not ended is kept whatever
// its age.
type Retention struct {
	History time.Duration `yaml:"history"` // what changed of nodes, PCUs and sites
	Ledger  time.Duration `yaml:"ledger"`  // what was done, and what was held
	Stories time.Duration `yaml:"stories"` // of closed issues
	Logs    time.Duration `yaml:"logs"`    // of nodes in debug mode
}

// HTTP is where the worker serves its pages.
type HTTP struct {
	Listen      string `yaml:"listen"` // host:port, or unix:/path
	TLSCertFile string `yaml:"tls_cert_file"`
	TLSKeyFile  string `yaml:"tls_key_file"`
	// BehindProxy says that only a proxy reaches the port, which speaks TLS to everybody else.
	BehindProxy bool `yaml:"behind_proxy"`
	// BootLogs says that nodes may send their boot logs there.
	BootLogs bool `yaml:"boot_logs"`
}

// Metrics is where the worker serves /metrics, /healthz (it lives) and /readyz (it works), apart from its pages.
type Metrics struct {
	Listen string `yaml:"listen"`
}

// Web is where people see and steer Monitor in a browser, and who they are.
type Web struct {
	// Listen is host:port, or unix:/path. TLS and proxies are as in the section http.
	Listen string `yaml:"listen"`
	// URL is how people reach the pages, where that is not Listen.
	URL string `yaml:"url"`
	// Public is off, status or full: what people see who have not signed in.
	Public string `yaml:"public"`
	// TemporalUI is the URL of Temporal's Web UI.
	TemporalUI string `yaml:"temporal_ui"`

	// PLCLogin says that people may sign in with their account at PLC.
	PLCLogin bool `yaml:"plc_login"`
	// Operators and Admins are addresses of people with those roles, beside PLC's own admins, who are admins here.
	Operators []string `yaml:"operators"`
	Admins    []string `yaml:"admins"`

	OIDCIssuer           string `yaml:"oidc_issuer"`
	OIDCClientID         string `yaml:"oidc_client_id"`
	OIDCClientSecret     Secret `yaml:"oidc_client_secret"`
	OIDCClientSecretFile string `yaml:"oidc_client_secret_file"`
	OIDCName             string `yaml:"oidc_name"`
	// OIDCRolesClaim names the claim with the groups of a person; the three after it, which groups have which role.
	OIDCRolesClaim string   `yaml:"oidc_roles_claim"`
	OIDCViewers    []string `yaml:"oidc_viewers"`
	OIDCOperators  []string `yaml:"oidc_operators"`
	OIDCAdmins     []string `yaml:"oidc_admins"`
}

// The values of web.public.
const (
	PublicOff    = "off"
	PublicStatus = "status"
	PublicFull   = "full"
)

// Tracing is where traces go, by OpenTelemetry's protocol over HTTP.
type Tracing struct {
	URL   string  `yaml:"url"`
	Share float64 `yaml:"share"` // of sweeps and issues that are traced, 0 to 1
}

// Log says what is logged and how.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is text or json.
	Format string `yaml:"format"`
}
