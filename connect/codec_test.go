package connect

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

func TestWhatTemporalKeepsIsEncrypted(t *testing.T) {
	var o client.Options
	if err := encrypt(&o, bytes.Repeat([]byte{1}, 32)); err != nil {
		t.Fatal(err)
	}
	const s3cret = "planetlab1.princeton.edu"
	sent, err := o.DataConverter.ToPayloads(map[string]string{"node": s3cret}, s3cret)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := proto.Marshal(sent)
	failure := o.FailureConverter.ErrorToFailure(temporal.NewApplicationError(s3cret, "Kind", errors.New(s3cret)))
	failed, _ := proto.Marshal(failure)
	if bytes.Contains(append(text, failed...), []byte(s3cret)) {
		t.Errorf("it can be read: %q %q", text, failed)
	}
	var in map[string]string
	var word string
	if err := o.DataConverter.FromPayloads(sent, &in, &word); err != nil || in["node"] != s3cret || word != s3cret {
		t.Errorf("it reads back as %v %q, %v", in, word, err)
	}
	if err := o.FailureConverter.FailureToError(failure); !strings.Contains(err.Error(), s3cret) {
		t.Errorf("the error reads back as %v", err)
	}
	plain, err := converter.GetDefaultDataConverter().ToPayload(map[string]string{"reason": "typed by hand"})
	if err == nil {
		err = o.DataConverter.FromPayload(plain, &in)
	}
	if err != nil || in["reason"] != "typed by hand" {
		t.Errorf("what comes from a plain client reads as %v, %v", in, err)
	}
	var other client.Options
	if err := encrypt(&other, bytes.Repeat([]byte{2}, 32)); err != nil {
		t.Fatal(err)
	}
	if err := other.DataConverter.FromPayloads(sent, &in, &word); err == nil || !strings.Contains(err.Error(), "temporal.payload_key_file") {
		t.Errorf("with another key: %v", err)
	}
	if err := encrypt(&client.Options{}, nil); err != nil {
		t.Errorf("without a key: %v", err)
	}
}

// FuzzPayloads: whatever stands in a payload, reading it ends in an error at worst.
func FuzzPayloads(f *testing.F) {
	codec, err := newPayloadCodec(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		f.Fatal(err)
	}
	good, err := codec.Encode([]*commonpb.Payload{{Metadata: map[string][]byte{metaEncoding: []byte("json/plain")}, Data: []byte(`{"a":1}`)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encrypted, codec.id, good[0].Data)
	f.Add("json/plain", []byte{}, []byte(`{}`))
	f.Add(encrypted, codec.id, []byte("short"))
	f.Fuzz(func(t *testing.T, encoding string, id, data []byte) {
		in := &commonpb.Payload{Metadata: map[string][]byte{metaEncoding: []byte(encoding), metaKey: id}, Data: data}
		out, err := codec.Decode([]*commonpb.Payload{in})
		if err == nil && encoding != encrypted && !proto.Equal(out[0], in) {
			t.Errorf("a plain payload was changed: %v", out[0])
		}
	})
}
