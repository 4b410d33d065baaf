package agent

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	encoding "encoding/asn1"
	"encoding/binary"
	"hash"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// usm is the user-based security of SNMP v3 for one user (RFC 3414; AES by RFC 3826, SHA-256 by RFC 7860).
type usm struct {
	id       []byte // of the engine
	user     string
	hash     func() hash.Hash
	check    int // bytes of a proof
	authKey  []byte
	privacy  string
	privKey  []byte
	started  time.Time
	refusing func() bool
}

const bootCount = 1

func (d *Rack) engine() *usm {
	u := &usm{
		id:       []byte("\x80\x00\x01\x3e\x04testbed"),
		user:     d.User,
		privacy:  d.Privacy,
		started:  d.started,
		refusing: func() bool { return d.Has(device.WrongPassword) },
	}
	u.hash, u.check = sha1.New, 12
	switch d.Auth {
	case "md5":
		u.hash = md5.New
	case "sha256":
		u.hash, u.check = sha256.New, 24
	}
	first, second, two := strings.Cut(d.Password, " ")
	if !two {
		second = first
	}
	u.authKey, u.privKey = u.localized(first), u.localized(second)[:16]
	return u
}

// localized is a password made into a key for this engine: the hash of a mebibyte of it, hashed with the engine's id
// (RFC 3414, A.2).
func (u *usm) localized(password string) []byte {
	h := u.hash()
	h.Write([]byte(strings.Repeat(password, 1<<20/max(1, len(password))+1))[:1<<20])
	key := h.Sum(nil)
	h.Reset()
	h.Write(bytes.Join([][]byte{key, u.id, key}, nil))
	return h.Sum(nil)
}

func (u *usm) seconds() int { return int(time.Since(u.started).Seconds()) }

// secured is the head of a message of v3.
type secured struct {
	id             int64
	flags          byte
	engine         cryptobyte.String
	boots, seconds int
	user           cryptobyte.String
	proof, salt    cryptobyte.String
}

const (
	flagAuth    = 1
	flagPrivacy = 2
)

func (m *secured) read(message *cryptobyte.String) bool {
	var head, parameters, list, flags cryptobyte.String
	var size, model int64
	ok := message.ReadASN1(&head, asn1.SEQUENCE) && readInteger(&head, &m.id) && readInteger(&head, &size) &&
		head.ReadASN1(&flags, asn1.OCTET_STRING) && readInteger(&head, &model) &&
		len(flags) == 1 && model == 3 && message.ReadASN1(&parameters, asn1.OCTET_STRING) &&
		parameters.ReadASN1(&list, asn1.SEQUENCE) &&
		list.ReadASN1(&m.engine, asn1.OCTET_STRING) && readInteger(&list, &m.boots) &&
		readInteger(&list, &m.seconds) &&
		list.ReadASN1(&m.user, asn1.OCTET_STRING) && list.ReadASN1(&m.proof, asn1.OCTET_STRING) &&
		list.ReadASN1(&m.salt, asn1.OCTET_STRING)
	if ok {
		m.flags = flags[0]
	}
	return ok
}

// answer checks who asks and answers in kind; what is wrong with the asking is told by a report of one counter.
func (u *usm) answer(datagram []byte, message cryptobyte.String, pdu func(cryptobyte.String) []byte) []byte {
	var m secured
	if !m.read(&message) {
		return nil
	}
	report := func(counter int, flags byte) []byte {
		oid := encoding.ObjectIdentifier{1, 3, 6, 1, 6, 3, 15, 1, 1, counter, 0}
		count := func(b *cryptobyte.Builder) { b.AddASN1(0x41, func(b *cryptobyte.Builder) { b.AddUint8(1) }) }
		return u.message(m.id, flags, string(m.user), response(pduReport, 0, 0, 0, []varbind{{oid: oid, value: count}}))
	}
	proven := len(m.proof) == u.check &&
		hmac.Equal(m.proof, u.mac(bytes.Replace(datagram, m.proof, make([]byte, u.check), 1)))
	const unsupportedLevel, notInTime, unknownUser, unknownEngine, wrongDigest, undecipherable = 1, 2, 3, 4, 5, 6
	switch late := u.seconds() - m.seconds; {
	case !bytes.Equal(m.engine, u.id):
		return report(unknownEngine, 0)
	case string(m.user) != u.user:
		return report(unknownUser, 0)
	case m.flags&flagAuth == 0, m.flags&flagPrivacy == 0 != (u.privacy == "none"):
		return report(unsupportedLevel, 0)
	case !proven || u.refusing():
		return report(wrongDigest, 0)
	case m.boots != bootCount || late > 150 || late < -150:
		return report(notInTime, flagAuth)
	}
	if m.flags&flagPrivacy != 0 {
		var sealed cryptobyte.String
		if !message.ReadASN1(&sealed, asn1.OCTET_STRING) || len(m.salt) != 8 {
			return report(undecipherable, 0)
		}
		message = u.crypt(sealed, m.salt, m.boots, m.seconds, false)
	}
	var scoped, engine, name cryptobyte.String
	if !message.ReadASN1(&scoped, asn1.SEQUENCE) || !scoped.ReadASN1(&engine, asn1.OCTET_STRING) ||
		!scoped.ReadASN1(&name, asn1.OCTET_STRING) {
		return report(undecipherable, 0)
	}
	answer := pdu(scoped)
	if answer == nil {
		return nil
	}
	return u.message(m.id, m.flags&(flagAuth|flagPrivacy), u.user, answer)
}

func (u *usm) mac(message []byte) []byte {
	h := hmac.New(u.hash, u.authKey)
	h.Write(message)
	return h.Sum(nil)[:u.check]
}

// message wraps an answer, encrypted and signed as the flags say.
func (u *usm) message(id int64, flags byte, user string, pdu []byte) []byte {
	body := sequence(func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(u.id)
		b.AddASN1OctetString(nil)
		b.AddBytes(pdu)
	})
	var salt, proof []byte
	seconds := u.seconds()
	if flags&flagPrivacy != 0 {
		salt = make([]byte, 8)
		_, _ = rand.Read(salt)
		var b cryptobyte.Builder
		b.AddASN1OctetString(u.crypt(body, salt, bootCount, seconds, true))
		body = b.BytesOrPanic()
	}
	if flags&flagAuth != 0 {
		proof = make([]byte, u.check)
		_, _ = rand.Read(proof) // a mark that is found again below
	}
	out := sequence(func(b *cryptobyte.Builder) {
		b.AddASN1Int64(3)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(id)
			b.AddASN1Int64(65507)
			b.AddASN1OctetString([]byte{flags})
			b.AddASN1Int64(3)
		})
		b.AddASN1OctetString(sequence(func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(u.id)
			b.AddASN1Int64(bootCount)
			b.AddASN1Int64(int64(seconds))
			b.AddASN1OctetString([]byte(user))
			b.AddASN1OctetString(proof)
			b.AddASN1OctetString(salt)
		}))
		b.AddBytes(body)
	})
	if proof != nil {
		at := bytes.Index(out, proof)
		copy(out[at:], make([]byte, u.check))
		copy(out[at:], u.mac(out))
	}
	return out
}

// crypt encrypts or decrypts.
func (u *usm) crypt(in, salt []byte, boots, seconds int, encrypt bool) []byte {
	if u.privacy == "des" {
		block, _ := des.NewCipher(u.privKey[:8])
		iv := make([]byte, 8)
		for i := range iv {
			iv[i] = u.privKey[8+i] ^ salt[i]
		}
		if encrypt {
			out := append(bytes.Clone(in), make([]byte, (8-len(in)%8)%8)...)
			cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, out)
			return out
		}
		out := make([]byte, len(in)/8*8)
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, in[:len(out)])
		return out
	}
	block, _ := aes.NewCipher(u.privKey)
	iv := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(boots)), uint32(seconds))
	return cfb(block, append(iv, salt...), in, encrypt)
}

// cfb is cipher feedback, which Go's library gives up.
func cfb(block cipher.Block, register, in []byte, encrypt bool) []byte {
	out, key := make([]byte, len(in)), make([]byte, len(register))
	for i := 0; i < len(in); i += len(register) {
		block.Encrypt(key, register)
		end := min(i+len(register), len(in))
		for j := i; j < end; j++ {
			out[j] = in[j] ^ key[j-i]
		}
		cipherText := in
		if encrypt {
			cipherText = out
		}
		copy(register, cipherText[i:end])
	}
	return out
}
