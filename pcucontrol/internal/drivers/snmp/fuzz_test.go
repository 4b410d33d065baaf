package snmp

import (
	"testing"

	"github.com/gosnmp/gosnmp"
)

// FuzzSNMPAnswer decodes what an agent may send, and understands it.
func FuzzSNMPAnswer(f *testing.F) {
	for _, v := range []gosnmp.SnmpVersion{gosnmp.Version1, gosnmp.Version2c} {
		for _, value := range []gosnmp.SnmpPDU{{Name: sysObjectID, Type: gosnmp.Integer, Value: 1},
			{Name: sysObjectID, Type: gosnmp.NoSuchInstance}, {Name: sysObjectID, Type: gosnmp.OctetString,
				Value: "x"}} {
			p := gosnmp.SnmpPacket{
				Version:   v,
				Community: "private",
				PDUType:   gosnmp.GetResponse,
				RequestID: 7,
				Variables: []gosnmp.SnmpPDU{value},
			}
			if b, err := p.MarshalMsg(); err == nil {
				f.Add(b)
			}
		}
	}
	f.Add([]byte("\x30\x84\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		g := &gosnmp.GoSNMP{Version: gosnmp.Version2c}
		p, err := g.SnmpDecodePacket(datagram)
		if err != nil || p == nil {
			return
		}
		if v, kind, _ := understand(p); kind == "" {
			for _, table := range APC() {
				table.of(v)
			}
		}
	})
}
