// Package plc is a typed client of PLCAPI, PlanetLab's XML-RPC interface to its database of sites, nodes, PCUs and
// people. It reads in bulk by field list, reads back what it writes, and never lets an empty selection mean everything.
package plc

import (
	"log/slog"
	"time"
)

// Secret is a password. It prints as [secret] wherever it is not revealed on purpose.
type Secret string

const hidden = "[secret]"

// Reveal returns the password itself.
func (s Secret) Reveal() string { return string(s) }

func (Secret) String() string               { return hidden }
func (Secret) GoString() string             { return hidden }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }

// Site owns nodes, PCUs, slices and persons.
type Site struct {
	SiteID      int
	LoginBase   string
	Name        string
	Enabled     bool // may create slices
	MaxSlices   int
	DateCreated time.Time
	Pending     bool   // not enabled, and ext_consortium_id is 0: PLC's admins have not let it in yet
	Place       *Place // nil: PLC does not know
}

// Place is a point on earth, in decimal degrees.
type Place struct{ Latitude, Longitude float64 }

// Node is a machine. PCUIDs and Ports go together: Ports[i] is the outlet of PCUIDs[i] that feeds it.
type Node struct {
	NodeID    int
	Hostname  string
	SiteID    int
	BootState string // as CleanBootState of package policy gives it
	RunLevel  string
	Model     string
	PCUIDs    []int
	Ports     []int

	// What PLC saw of it; zero: never, or this PLC does not say.
	LastContact         time.Time // its heartbeat
	LastBoot            time.Time
	LastDownload        time.Time // of a boot image or configuration
	LastPCUReboot       time.Time // by PLC's button
	LastPCUConfirmation time.Time // a boot that came soon after that

	// SSHKey is the host key that the node last told PLC, as in authorized_keys. Only Client.Node reads it.
	SSHKey string
}

// PCU is a power control unit.
type PCU struct {
	PCUID    int
	SiteID   int
	Hostname string
	IP       string
	Username string
	Password Secret
	Model    string
	NodeIDs  []int
	Ports    []int
}

// Person is somebody at a site, with roles tech, pi, user or admin.
type Person struct {
	PersonID int
	Email    string
	Roles    []string
	SiteIDs  []int
}

// Slice belongs to a site and runs on nodes.
type Slice struct {
	SliceID int
	Name    string
	SiteID  int
}

// Interface is a node's network interface.
type Interface struct {
	NodeID  int
	IP      string
	Primary bool
}

// Snapshot is PLC's database as far as Monitor needs it. The exemption maps hold, by id, until when.
type Snapshot struct {
	Taken      time.Time
	From       string // what people are told it comes from; empty: PLC
	Sites      []Site
	Nodes      []Node
	PCUs       []PCU
	Persons    []Person
	Slices     []Slice
	Interfaces []Interface

	// NodeGroups are the names of the groups that nodes are in, by node; nil: they could not be read, and what is known of
	// them stays.
	NodeGroups map[int][]string

	NodeExempt, SiteExempt, PersonExempt, SliceExempt map[int]time.Time

	// Unsent are the ids of rows that PLC could not send, by kind ("sites", "nodes", "pcus", "persons", "slices",
	// "interfaces"): what is known of them stays as it is.
	Unsent map[string][]int
	// Unreadable names for people what could not be read: the rows of Unsent, as "nodes 42", and tags that make no
	// sense.
	Unreadable []string
}
