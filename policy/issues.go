package policy

// The types of issues, as the seed note and the original policy name them.
const (
	NodeDown        = "nodedown"
	PCUDown         = "pcudown"
	SiteDown        = "sitedown"
	FailbootIssue   = "failboot"
	BadHardware     = "badhardware"
	DNSError        = "dnserror"
	NodeConfig      = "nodeconfig"
	OldBootCD       = "oldbootcd"
	Firewall        = "firewall"
	MinimalHardware = "minimalhardware"
	NoBlockDevice   = "noblockdevice"
	UnknownSequence = "unknownsequence"
	PCUMissing      = "pcumissing"
	Filesystem      = "filesystem"
)
