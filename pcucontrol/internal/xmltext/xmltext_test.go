package xmltext

import (
	"testing"
)

func TestDocumentsWithATypeAreRefused(t *testing.T) {
	for body, refused := range map[string]bool{
		`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`: true, `<a>&b;</a>`: true, `<a>`: true, `text`: true, ``: true, `<a><c>&amp;</c></a>`: false,
	} {
		if fields, err := Fields(body); (err != nil) != refused || !refused && fields["c"] != "&" {
			t.Errorf("%q has %v, %v", body, fields, err)
		}
	}
}
