// Package agent has the switched racks that speak SNMP.
package agent

import (
	"cmp"
	encoding "encoding/asn1"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// Rack is a switched rack, of APC's if no other model is named, as an SNMP agent (v1, v2c, v3). Its password is the
// community, and of v3 both passwords of the user, or the two with a space between them. It is written here by RFC 3416
// and 3414, not with the driver's library: so neither can hide the other's mistakes.
type Rack struct {
	device.Options
	Newer   bool   // has PowerNet's rPDU2 tables and not the older ones
	Auth    string // of v3: md5, sha (the default) or sha256
	Privacy string // of v3: aes (the default), des or none
	device.Condition
	started time.Time
}

// mibColumns are where a rack of another maker's keeps its outlets, below enterprises. An outlet is on if its state is
// on, and off if it is not; commands are the columns and values that turn on, turn off and reboot.
type mibColumns struct {
	product, name, state []int
	on, off              int
	commands             [3]struct {
		column []int
		value  int
	}
	shift int // rows are so much less than the numbers of outlets
}

// managedEPDU is an ePDU of Eaton's before its third generation, whose rows are counted from nought. Source: Debian's
// fence_eaton_snmp.
func managedEPDU() mibColumns {
	column := func(n int) []int { return []int{534, 6, 6, 6, 1, 2, 2, 1, n} }
	c := mibColumns{product: []int{534, 6, 6, 6}, name: column(2), state: column(3), on: 1, off: 0, shift: 1}
	for i, value := range []int{1, 0, 2} {
		c.commands[i].column, c.commands[i].value = column(3), value
	}
	return c
}

func otherRacks() map[string]mibColumns {
	same := func(on, off, reboot int, column ...int) (list [3]struct {
		column []int
		value  int
	}) {
		for i, value := range []int{on, off, reboot} {
			list[i].column, list[i].value = column, value
		}
		return list
	}
	eaton := same(0, 0, 0)
	for i, column := range []int{4, 3, 5} {
		eaton[i].column = []int{534, 6, 6, 7, 6, 6, 1, column, 0}
	}
	return map[string]mibColumns{
		"RaritanSNMP": {[]int{13742, 6}, []int{13742, 6, 3, 5, 3, 1, 3, 1}, []int{13742, 6, 4, 1, 2, 1, 3, 1}, 7, 8,
			same(1, 0, 2, 13742, 6, 4, 1, 2, 1, 2, 1), 0},
		"EatonSNMP": {[]int{534, 6, 6, 7}, []int{534, 6, 6, 7, 6, 1, 1, 3, 0}, []int{534, 6, 6, 7, 6, 6, 1, 2, 0}, 1, 0,
			eaton, 0},
		"SentrySNMP": {[]int{1718, 3}, []int{1718, 3, 2, 3, 1, 3, 1, 1}, []int{1718, 3, 2, 3, 1, 5, 1, 1}, 1, 0,
			same(1, 2, 3, 1718, 3, 2, 3, 1, 11, 1, 1), 0},
		"CyberPowerSNMP": {[]int{3808, 1, 1, 3}, []int{3808, 1, 1, 3, 3, 5, 1, 1, 2},
			[]int{3808, 1, 1, 3, 3, 5, 1, 1, 4}, 1, 2, same(1, 2, 3, 3808, 1, 1, 3, 3, 3, 1, 1, 4), 0},
		"TrippLiteSNMP": {[]int{850, 1}, []int{850, 10, 2, 3, 5, 1, 5, 1}, []int{850, 10, 2, 3, 5, 1, 2, 1}, 2, 1,
			same(2, 1, 3, 850, 10, 2, 3, 5, 1, 4, 1), 0},
	}
}

// New makes a rack.
func New(o device.Options) (device.Device, error) { return &Rack{Options: o}, nil }

// Faults are those of devices that have no prompt, and one of Eaton's.
func (d *Rack) Faults() []device.Fault {
	if d.Model == "EatonSNMP" {
		return append(device.DatagramFaults(), device.EatonFaults()...)
	}
	return device.DatagramFaults()
}

// Network is udp.
func (*Rack) Network() string { return "udp" }

// Serve is not for a device that speaks UDP.
func (*Rack) Serve(net.Listener) error { return errors.New("this device speaks udp") }

// ServePacket answers datagrams until the socket is closed.
func (d *Rack) ServePacket(c net.PacketConn) error {
	d.started = time.Now()
	d.Auth, d.Privacy = cmp.Or(d.Auth, "sha"), cmp.Or(d.Privacy, "aes")
	engine := d.engine()
	buf := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		switch {
		case d.Has(device.Mute) || d.Has(device.Refuses):
		case d.Has(device.Babbles):
			for i := range 50 {
				_, _ = c.WriteTo([]byte("\x30\x84\xff\xff lorem"+strings.Repeat("\xff", i)), from)
			}
		default:
			if answer := d.answer(engine, slices.Clone(buf[:n])); answer != nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}
}

// The kinds of PDU and the values of varbinds, RFC 3416.
const (
	pduGet      = 0xa0
	pduNext     = 0xa1
	pduResponse = 0xa2
	pduSet      = 0xa3
	pduBulk     = 0xa5
	pduReport   = 0xa8

	noSuchInstance = 0x81
	endOfMib       = 0x82
	timeTicks      = 0x43

	errNoSuchName  = 2
	errBadValue    = 3
	errGen         = 5
	errWrongValue  = 10
	errNoResources = 13
	errNotWritable = 17
)

// answer is what is sent back; nil is silence, as to a wrong community.
func (d *Rack) answer(engine *usm, datagram []byte) []byte {
	raw, message := cryptobyte.String(datagram), cryptobyte.String{}
	var version int
	if !raw.ReadASN1(&message, asn1.SEQUENCE) || !readInteger(&message, &version) {
		return nil
	}
	if version == 3 {
		return engine.answer(datagram, message, func(pdu cryptobyte.String) []byte { return d.pdu(1, pdu) })
	}
	var community cryptobyte.String
	if version > 1 || !message.ReadASN1(&community, asn1.OCTET_STRING) || string(community) != d.Password ||
		d.Has(device.WrongPassword) {
		return nil
	}
	answer := d.pdu(version, message)
	if answer == nil {
		return nil
	}
	return sequence(func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(version))
		b.AddASN1OctetString(community)
		b.AddBytes(answer)
	})
}

// readInteger reads a number as agents do, with leading zeros or without: gosnmp writes all four bytes of an id, which
// cryptobyte, being strict, refuses one time in 256.
func readInteger[T int | int64](from *cryptobyte.String, into *T) bool {
	var bytes cryptobyte.String
	if !from.ReadASN1(&bytes, asn1.INTEGER) || len(bytes) == 0 || len(bytes) > 8 {
		return false
	}
	value := int64(int8(bytes[0]))
	for _, b := range bytes[1:] {
		value = value<<8 | int64(b)
	}
	*into = T(value)
	return true
}

func sequence(f func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, f)
	return b.BytesOrPanic()
}

// varbind is a name and its value; status is what is wrong with it, in the words of v2.
type varbind struct {
	oid    encoding.ObjectIdentifier
	value  func(*cryptobyte.Builder)
	given  cryptobyte.String
	status int
}

// pdu answers one PDU. Version 0 is v1, in which one bad name spoils the whole answer.
func (d *Rack) pdu(version int, in cryptobyte.String) []byte {
	var body, list cryptobyte.String
	var kind asn1.Tag
	var id int64
	var a, b int // error status and index; of a bulk, non-repeaters and repetitions
	if !in.ReadAnyASN1(&body, &kind) || !readInteger(&body, &id) || !readInteger(&body, &a) ||
		!readInteger(&body, &b) || !body.ReadASN1(&list, asn1.SEQUENCE) {
		return nil
	}
	var asked []varbind
	for !list.Empty() {
		var one cryptobyte.String
		var v varbind
		if !list.ReadASN1(&one, asn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&v.oid) {
			return nil
		}
		v.given = one
		asked = append(asked, v)
	}
	mib := d.mib()
	found := d.look(kind, mib, asked, a, b)
	status, index := 0, 0
	for i, v := range found {
		if v.status != 0 && status == 0 {
			status, index = v.status, i+1
		}
	}
	if d.Has(device.Busy) {
		status, index = errNoResources, 0
	}
	if version == 0 {
		status = inV1(status)
	}
	if status != 0 && (version == 0 || status != noSuchInstance && status != endOfMib) {
		found = asked
		for i := range found {
			given := found[i].given
			found[i].value = func(b *cryptobyte.Builder) { b.AddBytes(given) }
		}
	} else {
		status, index = 0, 0
	}
	return response(pduResponse, id, status, index, found)
}

// inV1 is an error of v2 in the words of v1 (RFC 2576, 4.3).
func inV1(status int) int {
	switch status {
	case noSuchInstance, endOfMib, errNotWritable:
		return errNoSuchName
	case errWrongValue:
		return errBadValue
	case errNoResources:
		return errGen
	}
	return status
}

func response(kind byte, id int64, status, index int, list []varbind) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.Tag(kind), func(b *cryptobyte.Builder) {
		b.AddASN1Int64(id)
		b.AddASN1Int64(int64(status))
		b.AddASN1Int64(int64(index))
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, v := range list {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(v.oid)
					v.value(b)
				})
			}
		})
	})
	return b.BytesOrPanic()
}

// look finds, or sets, what is asked for.
func (d *Rack) look(kind asn1.Tag, mib []mibObject, asked []varbind, nonRepeaters, repetitions int) []varbind {
	var found []varbind
	for i, v := range asked {
		times := 1
		if kind == pduBulk && i >= nonRepeaters {
			times = min(max(repetitions, 0), 100)
		}
		for range times {
			at, exact := slices.BinarySearchFunc(mib, v.oid,
				func(o mibObject, oid encoding.ObjectIdentifier) int { return slices.Compare(o.oid, oid) })
			if exact && (kind == pduNext || kind == pduBulk) {
				at++
			}
			switch {
			case kind == pduSet && !exact, kind == pduGet && !exact:
				v.status, v.value = noSuchInstance, null(noSuchInstance)
			case at == len(mib):
				v.status, v.value = endOfMib, null(endOfMib)
			case kind == pduSet:
				v.status = d.write(mib[at], v.given)
				v.value = mib[at].value
			default:
				v.oid, v.value = mib[at].oid, mib[at].value
			}
			found = append(found, v)
		}
	}
	return found
}

func null(tag byte) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) { b.AddASN1(asn1.Tag(tag), func(*cryptobyte.Builder) {}) }
}

func (d *Rack) write(o mibObject, given cryptobyte.String) int {
	var value int
	switch {
	case o.write == nil:
		return errNotWritable
	case !readInteger(&given, &value) || !o.takes(value):
		return errWrongValue
	case d.Has(device.Busy):
		return 0 // the answer says so
	}
	o.write(value)
	return 0
}

// mibObject is one entry of the MIB.
type mibObject struct {
	oid   encoding.ObjectIdentifier
	value func(*cryptobyte.Builder)
	write func(int)
	takes func(int) bool
}

// mib is all that the agent knows, in order.
func (d *Rack) mib() []mibObject {
	var all []mibObject
	number := func(n int) func(*cryptobyte.Builder) { return func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(n)) } }
	text := func(s string) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte(s)) }
	}
	add := func(value func(*cryptobyte.Builder), write func(int), oid ...int) {
		takes := func(v int) bool { return v >= 1 && v <= 3 }
		all = append(all, mibObject{append(encoding.ObjectIdentifier{1, 3, 6, 1}, oid...), value, write, takes})
	}
	product := encoding.ObjectIdentifier{1, 3, 6, 1, 4, 1, 318, 1, 3, 4, 5} // masterSwitchrPDU
	if d.Newer {
		product[10] = 6 // masterSwitchrPDU2
	}
	add(text("APC Switched Rack PDU of the testbed"), nil, 2, 1, 1, 1, 0)
	add(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(product) }, nil, 2, 1, 1, 2, 0)
	add(func(b *cryptobyte.Builder) {
		b.AddASN1(timeTicks,
			func(b *cryptobyte.Builder) { b.AddUint32(uint32(time.Since(d.started).Milliseconds()/10) & 0x7fffffff) })
	}, nil, 2, 1, 1, 3, 0)
	add(text("rack"), nil, 2, 1, 1, 5, 0)
	apc := func(value func(*cryptobyte.Builder), write func(int), oid ...int) {
		add(value, write, append([]int{4, 1, 318, 1, 1}, oid...)...)
	}
	if columns, other := otherRacks()[d.Model]; other {
		if d.Has(device.ManagedEPDU) {
			columns = managedEPDU()
		}
		all[1].value = func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(append(encoding.ObjectIdentifier{1, 3, 6, 1, 4, 1}, columns.product...))
		}
		switch d.Model { // the name of the product and the number of outlets, by which NUT's snmp-ups knows them
		case "EatonSNMP":
			add(text("EPDU MA 0U"), nil, 4, 1, 534, 6, 6, 7, 1, 2, 1, 2, 0)
			add(number(d.Outlets.Count()), nil, 4, 1, 534, 6, 6, 7, 1, 2, 1, 22, 0)
		case "RaritanSNMP":
			add(text("PX2-5000"), nil, 4, 1, 13742, 6, 3, 2, 1, 1, 3, 1)
			add(number(d.Outlets.Count()), nil, 4, 1, 13742, 6, 3, 2, 2, 1, 4, 1)
		}
		return d.otherMIB(all, columns)
	}
	if !d.Newer {
		apc(number(d.Outlets.Count()), nil, 4, 4, 1, 0)
	}
	for n := 1; n <= d.Outlets.Count(); n++ {
		on, _ := d.Outlets.State(n)
		state, newer := number(2), number(1)
		if on {
			state, newer = newer, state
		}
		name, write := text(fmt.Sprintf("Outlet %d", n)), func(value int) { d.command(n, value) }
		if d.Newer {
			apc(name, nil, 26, 9, 2, 3, 1, 3, n)
			apc(newer, nil, 26, 9, 2, 3, 1, 5, n)
			apc(state, write, 26, 9, 2, 4, 1, 5, n)
			continue
		}
		apc(state, write, 4, 4, 2, 1, 3, n)
		apc(name, nil, 4, 4, 2, 1, 4, n)
		apc(state, write, 12, 3, 3, 1, 1, 4, n)
		apc(name, nil, 12, 3, 5, 1, 1, 2, n)
		apc(state, nil, 12, 3, 5, 1, 1, 4, n)
	}
	slices.SortFunc(all, func(a, b mibObject) int { return slices.Compare(a.oid, b.oid) })
	return all
}

// otherMIB adds the outlets of a rack of another maker's. A column may be a command and a state at the same time.
func (d *Rack) otherMIB(all []mibObject, c mibColumns) []mibObject {
	at := func(column []int, n int) encoding.ObjectIdentifier {
		return append(append(encoding.ObjectIdentifier{1, 3, 6, 1, 4, 1}, column...), n-c.shift)
	}
	integer := func(v int) func(*cryptobyte.Builder) { return func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(v)) } }
	for n := 1; n <= d.Outlets.Count(); n++ {
		state := c.off
		if on, _ := d.Outlets.State(n); on {
			state = c.on
		}
		name := fmt.Sprintf("Outlet %d", n)
		all = append(all,
			mibObject{oid: at(c.name, n), value: func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte(name)) }},
			mibObject{oid: at(c.state, n), value: integer(state)})
		for i, command := range c.commands {
			oid := at(command.column, n)
			j := slices.IndexFunc(all, func(o mibObject) bool { return slices.Equal(o.oid, oid) })
			if j < 0 {
				all, j = append(all, mibObject{oid: oid, value: integer(state)}), len(all)
			}
			takes, write := all[j].takes, all[j].write
			all[j].takes = func(v int) bool { return v == command.value || takes != nil && takes(v) }
			all[j].write = func(v int) {
				if v == command.value {
					d.command(n, i+1)
				} else {
					write(v)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b mibObject) int { return slices.Compare(a.oid, b.oid) })
	return all
}

// command is 1 on, 2 off, 3 reboot.
func (d *Rack) command(n, value int) {
	switch {
	case value == 3:
		_ = d.Cycle(d.Outlets, n, d.OffTime)
	case value == 2 || !d.Has(device.StaysOff):
		_ = d.Set(d.Outlets, n, value == 1)
	}
}
