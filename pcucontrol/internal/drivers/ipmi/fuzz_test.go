package ipmi

import (
	"bytes"
	"crypto/aes"
	"net"
	"os"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wiretest"
)

// answers is a BMC whose answers have the right frame and any content.
type answers struct {
	net.Conn
	left [][]byte
	last []byte
}

func (a *answers) Write(p []byte) (int, error) {
	a.last = bytes.Clone(p)
	return len(p), nil
}

func (a *answers) Read(p []byte) (int, error) {
	if len(a.left) == 0 || len(a.last) < 17 {
		return 0, os.ErrDeadlineExceeded
	}
	payload := a.left[0]
	a.left = a.left[1:]
	kind := a.last[5]
	if kind >= payloadOpen && kind <= payloadRAKP3 {
		payload = append([]byte{a.last[16]}, payload...)
		return copy(p, frame(kind+1, 0, 0, payload)), nil
	}
	return copy(p, payload), nil
}

func (*answers) SetDeadline(time.Time) error { return nil }

func (*answers) Close() error { return nil }

// FuzzRMCPHandshake lets a BMC answer a login with anything.
func FuzzRMCPHandshake(f *testing.F) {
	opened := append(make([]byte, 7), "\x01\x02\x03\x04"...)
	f.Add([]byte{1}, []byte{}, []byte{})                                               // refused in two bytes
	f.Add(opened, append(make([]byte, 7+32), make([]byte, 20)...), make([]byte, 7+12)) // of suite 3
	f.Add(opened, []byte{0x0d, 0, 0, 0, 0, 0, 0}, []byte{0x0f})
	f.Fuzz(func(t *testing.T, open, rakp2, rakp4 []byte) {
		for _, suite := range cipherSuites() {
			s := &session{
				conn:      &answers{left: [][]byte{open, rakp2, rakp4}},
				t:         pcucontrol.Target{Host: "bmc", User: "admin", Password: wiretest.Password},
				suite:     suite,
				privilege: privilegeUser,
				waits:     answerWaits()[:1],
			}
			err := s.open(t.Context())
			if err == nil {
				t.Error("a BMC that cannot know the password was believed")
			}
			wiretest.WantTyped(t, err)
		}
	})
}

// FuzzRMCPPacket opens packets of a session, with a true signature over anything and with none.
func FuzzRMCPPacket(f *testing.F) {
	s := &session{
		t:       pcucontrol.Target{Host: "bmc"},
		suite:   cipherSuites()[1],
		waits:   answerWaits()[:1],
		console: 1,
		k1:      make([]byte, 20),
		k2:      make([]byte, 20),
	}
	bmc := &session{suite: s.suite, bmc: s.console, k1: s.k1, k2: s.k2}
	f.Add(bmc.seal(message(1, 1, chassisStatus, []byte{0, 1, 0, 0})))
	f.Add(make([]byte, 2*aes.BlockSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		unframe(data)
		s.unseal(data)
		signed := frame(payloadIPMI|payloadEncrypted|payloadIntegrity, s.console, 1, data[:min(len(data), 1<<15)])
		signed = append(signed, 0, 7)
		if m := s.unseal(append(signed, s.mac(s.k1, signed[4:])[:s.suite.check]...)); len(m) > len(data) {
			t.Errorf("%d bytes out of %d", len(m), len(data))
		}
		s.conn = &answers{
			left: [][]byte{data, append(signed, s.mac(s.k1, signed[4:])[:s.suite.check]...)},
			last: make([]byte, 17),
		}
		_, err := s.commandOnce(t.Context(), "chassis status", s.waits, chassis, chassisStatus)
		wiretest.WantTyped(t, err)
	})
}
