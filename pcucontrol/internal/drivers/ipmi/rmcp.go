package ipmi

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wait"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// session is an RMCP+ session with a BMC. It is written here rather than taken from a library because the answers of
// the one kept library's client are neither checked for integrity nor for length, in a goroutine of its own: one forged
// datagram would end the caller's process. Numbers are from the IPMI 2.0 specification, chapter 13.
type session struct {
	conn      net.Conn
	t         pcucontrol.Target
	suite     suite
	tag       byte
	console   uint32 // our session id
	bmc       uint32 // theirs
	sequence  uint32
	message   byte
	k1, k2    []byte
	active    bool
	read      int // bytes so far
	privilege byte
	memory    *suiteMemory
	waits     []time.Duration // for an answer to one message
	repeated  bool            // some message was said again, for the answer took too long
	heard     bool            // it has answered
	proved    bool            // it has proved that it knows the password
}

// Privileges, payload types and status codes.
const (
	privilegeUser     = 2
	privilegeOperator = 3

	payloadIPMI        = 0x00
	payloadOpen        = 0x10
	payloadRAKP1       = 0x12
	payloadRAKP3       = 0x14
	payloadEncrypted   = 0x80
	payloadIntegrity   = 0x40
	nameOnlyLookup     = 0x10
	statusNoResources  = 0x01
	statusNoRoleLeft   = 0x0b
	statusBadRole      = 0x09
	statusRoleRefused  = 0x0a
	statusNoSuchName   = 0x0d
	statusNoSuchGUID   = 0x0e
	statusBadIntegrity = 0x0f

	aesCBC = 1 // the confidentiality algorithm of all suites here

	maxPassword = 20
	maxUser     = 16
)

// silenceLimit is how long a port that never said a word is asked. A BMC that was heard of is asked for as long as
// there is time: its datagrams get lost.
const silenceLimit = 10 * time.Second

// open opens a session with the privilege asked for. A handshake of which a message is lost is begun anew, for many
// BMCs answer none of its messages twice.
func open(ctx context.Context, t pcucontrol.Target, privilege byte, memory *suiteMemory) (*session, error) {
	if len(t.Password) > maxPassword || len(t.User) > maxUser {
		return nil, wire.Fail(t, pcucontrol.Auth, "log in",
			"IPMI takes user names of 16 and passwords of 20 bytes at most")
	}
	address := net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	suites, begun := memory.order(address), time.Now()
	heard, doubts, refused := false, 0, 0
	for i := 0; ; i++ {
		conn, err := new(net.Dialer).DialContext(ctx, "udp", address)
		if err != nil {
			return nil, wire.DialError(t, err)
		}
		s := &session{
			conn:      conn,
			t:         t,
			suite:     suites[i%len(suites)],
			privilege: privilege,
			memory:    memory,
			waits:     handshakeWaits(),
		}
		if doubts > 0 {
			s.waits = []time.Duration{2 * time.Second, 2 * time.Second}
		}
		if err = s.open(ctx); err == nil {
			s.waits = answerWaits()
			memory.keep(address, s.suite.id)
			return s, nil
		}
		s.close()
		heard = heard || s.heard
		switch k := pcucontrol.KindOf(err); {
		case ctx.Err() != nil:
			return nil, err
		// it answered a message twice, and takes the proof of the last answer only
		case k == pcucontrol.Auth && (s.repeated || s.proved) && doubts < 3:
			doubts++
			i--
		case k == pcucontrol.Refused && s.bmc == 0: // the suite
			if refused++; refused == len(suites) {
				return nil, err
			}
		case k != pcucontrol.Timeout || !heard && time.Since(begun) > silenceLimit:
			return nil, err
		case s.bmc != 0: // the suite is right
			i--
		}
	}
}

func (s *session) fail(kind pcucontrol.Kind, doing, detail string) error {
	return wire.Fail(s.t, kind, doing, detail)
}

func (s *session) trace(format string, args ...any) {
	if s.t.Trace != nil {
		s.t.Trace(fmt.Sprintf(format, args...))
	}
}

// open runs the handshake: open session, RAKP 1 to 4, and the privilege if it is more than the session starts with.
func (s *session) open(ctx context.Context) error {
	random := make([]byte, 4+16)
	_, _ = rand.Read(random)
	s.console = binary.LittleEndian.Uint32(random) | 1 // never nought
	if err := s.openSession(ctx); err != nil {
		return err
	}
	if err := s.keys(ctx, random[4:]); err != nil {
		return err
	}
	s.active = true
	if s.privilege <= privilegeUser {
		return nil
	}
	_, err := s.commandOnce(ctx, "set session privilege", answerWaits(), 6, 0x3b, s.privilege)
	if k := pcucontrol.KindOf(err); k == pcucontrol.Refused || k == pcucontrol.Unsupported {
		return s.fail(pcucontrol.Refused, "set session privilege", "the account may not switch power")
	}
	return err
}

func (s *session) openSession(ctx context.Context) error {
	payload := binary.LittleEndian.AppendUint32([]byte{0, 0, 0, 0}, s.console)
	s.trace("= cipher suite %d, privilege %d", s.suite.id, s.privilege)
	for i, algorithm := range []byte{s.suite.auth, s.suite.integrity, aesCBC} {
		payload = append(payload, byte(i), 0, 0, 8, algorithm, 0, 0, 0)
	}
	answer, err := s.setup(ctx, "open session", payloadOpen, payload)
	if err != nil {
		return err
	}
	// A refusal may be as short as tag and status.
	s.trace("< status 0x%02x", answer[1])
	if status := answer[1]; status == statusNoResources || status == statusNoRoleLeft {
		return s.fail(pcucontrol.Busy, "open session", "no session is free")
	} else if status != 0 {
		return s.fail(pcucontrol.Refused, "open session", fmt.Sprintf("cipher suite %d: status 0x%02x", s.suite.id,
			status))
	}
	if len(answer) < 12 || binary.LittleEndian.Uint32(answer[4:]) != s.console {
		return s.fail(pcucontrol.Unexpected, "open session", fmt.Sprintf("% x", answer))
	}
	if err := s.takeAlgorithms(answer); err != nil {
		return err
	}
	s.bmc = binary.LittleEndian.Uint32(answer[8:])
	return nil
}

// takeAlgorithms goes on by the suite of the answer: some BMCs, asked for one, say yes and name the algorithms of
// another (13.18).
func (s *session) takeAlgorithms(answer []byte) error {
	if len(answer) < 36 { // they are left out by some
		return nil
	}
	auth, integrity, privacy := answer[16]&0x3f, answer[24]&0x3f, answer[32]&0x3f
	for _, c := range cipherSuites() {
		if c.auth == auth && c.integrity == integrity && privacy == aesCBC {
			if c.id != s.suite.id {
				s.trace("= it takes cipher suite %d", c.id)
			}
			s.suite = c
			return nil
		}
	}
	return s.fail(
		pcucontrol.Refused,
		"open session",
		fmt.Sprintf("asked for cipher suite %d, it takes algorithms %d, %d and %d, which are not spoken here",
			s.suite.id, auth, integrity, privacy),
	)
}

// keys proves to each other that both know the password, and derives the session's keys from it (13.28, 13.31).
func (s *session) keys(ctx context.Context, ours []byte) error {
	password, size := []byte(s.t.Password), s.suite.hash().Size()
	who := append([]byte{nameOnlyLookup | s.privilege, byte(len(s.t.User))}, s.t.User...)
	head := binary.LittleEndian.AppendUint32([]byte{0, 0, 0, 0}, s.bmc)

	answer, err := s.setup(ctx, "log in (RAKP 1)", payloadRAKP1,
		join(head, ours, []byte{who[0], 0, 0, who[1]}, who[2:]))
	if err != nil {
		return err
	}
	s.trace("< status 0x%02x", answer[1])
	if answer[1] != 0 {
		return s.refusal(answer[1])
	}
	if len(answer) < 40+size || binary.LittleEndian.Uint32(answer[4:]) != s.console {
		return s.fail(pcucontrol.Unexpected, "log in (RAKP 2)", fmt.Sprintf("%d bytes for an answer", len(answer)))
	}
	theirs, guid, proof := answer[8:24], answer[24:40], answer[40:40+size]
	ids := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, s.console), s.bmc)
	if !hmac.Equal(proof, s.mac(password, ids, ours, theirs, guid, who)) {
		return s.fail(pcucontrol.Auth, "log in", "the BMC has another password")
	}

	s.proved = true

	sik := s.mac(password, ours, theirs, who)
	s.k1, s.k2 = s.mac(sik, bytes.Repeat([]byte{1}, 20)), s.mac(sik, bytes.Repeat([]byte{2}, 20))
	answer, err = s.setup(ctx, "log in (RAKP 3)", payloadRAKP3, join(head, s.mac(password, theirs, ids[:4], who)))
	if err != nil {
		return err
	}
	s.trace("< status 0x%02x", answer[1])
	if answer[1] != 0 {
		return s.refusal(answer[1])
	}
	want := s.mac(sik, ours, ids[4:], guid)[:s.suite.check]
	if len(answer) < 8+s.suite.check || !hmac.Equal(answer[8:8+s.suite.check], want) {
		return s.fail(pcucontrol.Unexpected, "log in (RAKP 4)", "the BMC's proof is wrong")
	}
	return nil
}

func (s *session) refusal(status byte) error {
	switch status {
	case statusNoSuchName, statusNoSuchGUID, statusBadIntegrity:
		return s.fail(pcucontrol.Auth, "log in", "user name or password refused")
	case statusBadRole, statusRoleRefused:
		return s.fail(pcucontrol.Refused, "log in", "the account may not have this privilege")
	case statusNoResources, statusNoRoleLeft:
		return s.fail(pcucontrol.Busy, "log in", "no session is free")
	}
	return s.fail(pcucontrol.Unexpected, "log in", fmt.Sprintf("status 0x%02x", status))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func (s *session) mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(s.suite.hash, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// setup sends one message of the handshake and returns its answer, at least tag and status.
func (s *session) setup(ctx context.Context, doing string, kind byte, payload []byte) ([]byte, error) {
	s.tag++
	payload[0] = s.tag
	packet := func() []byte { return frame(kind, 0, 0, payload) }
	return s.exchange(ctx, doing, s.waits, packet, func(datagram []byte) []byte {
		p, ok := unframe(datagram)
		if !ok || p.kind != kind+1 || p.session != 0 || len(p.payload) < 2 || p.payload[0] != payload[0] {
			return nil
		}
		return p.payload
	})
}

// command sends an IPMI command that may be said again, and returns the data of its answer. As long as there is time it
// is said again, in a new session where this one has gone silent; then s.repeated is true.
func (s *session) command(ctx context.Context, doing string, function, command byte, data ...byte) ([]byte, error) {
	s.repeated = false
	for {
		answer, err := s.commandOnce(ctx, doing, s.waits, function, command, data...)
		if k := pcucontrol.KindOf(err); k != pcucontrol.Timeout && k != pcucontrol.Unreachable || ctx.Err() != nil {
			return answer, err
		}
		if err := s.renew(ctx); err != nil && !pcucontrol.KindOf(err).Passing() {
			return nil, err
		}
	}
}

// renew takes a new session in the place of this one, which the BMC may have forgotten.
func (s *session) renew(ctx context.Context) error {
	s.trace("= no answer: a new session")
	s.close()
	fresh, err := open(ctx, s.t, s.privilege, s.memory)
	if err == nil {
		*s = *fresh
	} else {
		wait.For(ctx, answerWaits()[0])
	}
	s.repeated = true
	return err
}

// commandOnce sends one IPMI command in the session, as often as there are waits for an answer.
func (s *session) commandOnce(ctx context.Context, doing string, waits []time.Duration, function, command byte,
	data ...byte,
) ([]byte, error) {
	s.message = (s.message + 1) & 0x3f
	answer, err := s.exchange(
		ctx,
		doing,
		waits,
		func() []byte { return s.seal(message(function, s.message, command, data)) },
		func(datagram []byte) []byte {
			m := s.unseal(datagram)
			if len(m) < 8 || m[1] != (function|1)<<2 || m[4]>>2 != s.message || m[5] != command {
				return nil
			}
			return m[6 : len(m)-1]
		},
	)
	if err != nil {
		return nil, err
	}
	s.trace("< completion code 0x%02x, data % x", answer[0], answer[1:])
	if kind, why := completion(answer[0]); kind != "" {
		return nil, s.fail(kind, doing, why)
	}
	return answer[1:], nil
}

// completion is what a completion code means (5.2). Some leave open whether the command was carried out.
func completion(code byte) (kind pcucontrol.Kind, why string) {
	why = fmt.Sprintf("completion code 0x%02x", code)
	switch code {
	case 0:
		return "", ""
	case 0xc0:
		return pcucontrol.Busy, why
	case 0xc1, 0xcc, 0xd5: // invalid command, invalid data, not in this state
		return pcucontrol.Unsupported, why
	case 0xc3, 0xce, 0xcf, 0xff: // timeout, no response, a duplicate, unspecified
		return pcucontrol.Unexpected, why
	case 0xd4:
		return pcucontrol.Refused, "insufficient privilege"
	}
	return pcucontrol.Refused, why
}

// message is an IPMB message from the remote console (0x81) to the BMC (0x20).
func message(function, sequence, command byte, data []byte) []byte {
	head := []byte{0x20, function << 2}
	body := append([]byte{0x81, sequence << 2, command}, data...)
	return join(head, []byte{checksum(head)}, body, []byte{checksum(body)})
}

func checksum(b []byte) byte {
	var sum byte
	for _, x := range b {
		sum += x
	}
	return -sum
}

// answerWaits is how long each try waits for its answer; then it is a timeout.
func answerWaits() []time.Duration {
	return []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}
}

// handshakeWaits are those for a message of the handshake, which is soon begun anew.
func handshakeWaits() []time.Duration { return answerWaits()[:2] }

// onceWaits is for what must not be sent twice.
func onceWaits() []time.Duration { return []time.Duration{5 * time.Second} }

// exchange sends until an answer comes that accept takes; the packet is made anew each time, for its sequence number.
func (s *session) exchange(ctx context.Context, doing string, waits []time.Duration, packet func() []byte,
	accept func([]byte) []byte,
) ([]byte, error) {
	buf := make([]byte, 2048)
	for i, wait := range waits {
		s.trace("> %s", doing)
		s.repeated = s.repeated || i > 0
		deadline := time.Now().Add(wait)
		if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
			deadline = d
		}
		_ = s.conn.SetDeadline(deadline)
		stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
		_, err := s.conn.Write(packet())
		for err == nil {
			var n int
			if n, err = s.conn.Read(buf); err != nil {
				break
			}
			if s.read += n; s.read > wire.MaxRead {
				stop()
				return nil, s.fail(pcucontrol.Unexpected, doing, "the device does not stop talking")
			}
			if answer := accept(buf[:n]); answer != nil {
				stop()
				s.heard = true
				return bytes.Clone(answer), nil
			}
		}
		stop()
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return nil, s.fail(pcucontrol.Unreachable, doing, "the port is closed")
		case ctx.Err() != nil:
			return nil, s.fail(pcucontrol.Timeout, doing, "no answer in time")
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, s.fail(pcucontrol.Unreachable, doing, err.Error())
		}
	}
	return nil, s.fail(pcucontrol.Timeout, doing, "no answer")
}

// frame puts a payload behind the headers of RMCP and of the session (13.6).
func frame(kind byte, session, sequence uint32, payload []byte) []byte {
	b := []byte{0x06, 0x00, 0xff, 0x07, 0x06, kind}
	b = binary.LittleEndian.AppendUint32(b, session)
	b = binary.LittleEndian.AppendUint32(b, sequence)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(payload)))
	return append(b, payload...)
}

type rmcpPacket struct {
	kind    byte
	session uint32
	payload []byte
	trailer []byte
}

func unframe(b []byte) (rmcpPacket, bool) {
	if len(b) < 16 || b[0] != 0x06 || b[3] != 0x07 || b[4] != 0x06 {
		return rmcpPacket{}, false
	}
	n := int(binary.LittleEndian.Uint16(b[14:]))
	if len(b) < 16+n {
		return rmcpPacket{}, false
	}
	return rmcpPacket{b[5], binary.LittleEndian.Uint32(b[6:]), b[16 : 16+n], b[16+n:]}, true
}

// seal encrypts a message and signs the packet.
func (s *session) seal(plain []byte) []byte {
	pad := (aes.BlockSize - (len(plain)+1)%aes.BlockSize) % aes.BlockSize
	for i := range pad {
		plain = append(plain, byte(i+1))
	}
	plain = append(plain, byte(pad))
	sealed := make([]byte, aes.BlockSize+len(plain))
	_, _ = rand.Read(sealed[:aes.BlockSize])
	block, _ := aes.NewCipher(s.k2[:16])
	cipher.NewCBCEncrypter(block, sealed[:aes.BlockSize]).CryptBlocks(sealed[aes.BlockSize:], plain)

	s.sequence++
	b := frame(payloadIPMI|payloadEncrypted|payloadIntegrity, s.bmc, s.sequence, sealed)
	fill := (4 - (len(b)-4+2)%4) % 4
	b = append(b, bytes.Repeat([]byte{0xff}, fill)...)
	b = append(b, byte(fill), 0x07)
	return append(b, s.mac(s.k1, b[4:])[:s.suite.check]...)
}

// unseal checks and decrypts a packet of the session; nil if it is not one.
func (s *session) unseal(b []byte) []byte {
	p, ok := unframe(b)
	if !ok || p.kind != payloadIPMI|payloadEncrypted|payloadIntegrity || p.session != s.console ||
		len(p.trailer) < s.suite.check+2 {
		return nil
	}
	signed := len(b) - s.suite.check
	if !hmac.Equal(b[signed:], s.mac(s.k1, b[4:signed])[:s.suite.check]) {
		return nil
	}
	n := len(p.payload) - aes.BlockSize
	if n < aes.BlockSize || n%aes.BlockSize != 0 {
		return nil
	}
	block, _ := aes.NewCipher(s.k2[:16])
	plain := make([]byte, n)
	cipher.NewCBCDecrypter(block, p.payload[:aes.BlockSize]).CryptBlocks(plain, p.payload[aes.BlockSize:])
	end := n - 1 - int(plain[n-1])
	if end < 0 {
		return nil
	}
	return plain[:end]
}

// close tells the BMC, whose sessions are few, and waits for no answer: a lost session ends by itself within a minute.
func (s *session) close() {
	if s.active {
		s.message = (s.message + 1) & 0x3f
		_ = s.conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = s.conn.Write(s.seal(message(6, s.message, 0x3c, binary.LittleEndian.AppendUint32(nil, s.bmc))))
	}
	_ = s.conn.Close()
}
