package connect

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

// How an encrypted payload says so: by its encoding, as Temporal's own samples do, and by the first bytes of its key's
// SHA-256.
const (
	encrypted      = "binary/encrypted"
	metaEncoding   = "encoding"
	metaKey        = "monitor-key"
	keyIDLength    = 8
	payloadPurpose = "monitor payload"
)

// payloadCodec encrypts what Temporal keeps: inputs, answers and errors of workflows and activities, and what they
// show of themselves. What comes in the clear is read all the same, since operators may use any client; so it hides,
// and proves nothing about who sent something.
type payloadCodec struct {
	id   []byte
	aead cipher.AEAD
}

func newPayloadCodec(key []byte) (*payloadCodec, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("temporal.payload_key_file: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	sum := sha256.Sum256(key)
	return &payloadCodec{sum[:keyIDLength], aead}, err
}

// Encode encrypts payloads.
func (c *payloadCodec) Encode(list []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(list))
	for i, p := range list {
		text, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		nonce := make([]byte, c.aead.NonceSize())
		_, _ = rand.Read(nonce) // never fails since Go 1.24
		out[i] = &commonpb.Payload{
			Metadata: map[string][]byte{metaEncoding: []byte(encrypted), metaKey: c.id},
			Data:     c.aead.Seal(nonce, nonce, text, []byte(payloadPurpose)),
		}
	}
	return out, nil
}

// Decode decrypts those that are encrypted.
func (c *payloadCodec) Decode(list []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(list))
	for i, p := range list {
		if string(p.GetMetadata()[metaEncoding]) != encrypted {
			out[i] = p
			continue
		}
		if !bytes.Equal(p.GetMetadata()[metaKey], c.id) || len(p.GetData()) < c.aead.NonceSize() {
			return nil, errors.New("a payload was encrypted with another key: check temporal.payload_key_file")
		}
		nonce, text := p.GetData()[:c.aead.NonceSize()], p.GetData()[c.aead.NonceSize():]
		plain, err := c.aead.Open(nil, nonce, text, []byte(payloadPurpose))
		if err != nil {
			return nil, errors.New("an encrypted payload is damaged")
		}
		out[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(plain, out[i]); err != nil {
			return nil, fmt.Errorf("an encrypted payload: %w", err)
		}
	}
	return out, nil
}

// encrypt has a client encrypt all that it sends; without a key it sends in the clear.
func encrypt(o *client.Options, key []byte) error {
	if key == nil {
		return nil
	}
	codec, err := newPayloadCodec(key)
	if err != nil {
		return err
	}
	o.DataConverter = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codec)
	o.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: o.DataConverter, EncodeCommonAttributes: true, // the texts of errors, too
	})
	return nil
}
