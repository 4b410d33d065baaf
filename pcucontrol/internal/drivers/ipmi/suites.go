package ipmi

import (
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"slices"
	"sync"
)

// suite is a cipher suite. Both encrypt by AES-CBC-128.
type suite struct {
	id              int
	auth, integrity byte
	hash            func() hash.Hash
	check           int // bytes of an integrity check value
}

// cipherSuites in the order of trying: 17 is today's, 3 is what every BMC of IPMI 2.0 must know. The BMC is not asked
// for its list: some never answer that.
func cipherSuites() []suite {
	return []suite{{17, 3, 4, sha256.New, 16}, {3, 1, 1, sha1.New, 12}}
}

// suiteMemory keeps which cipher suite a BMC took, for some never answer to the others.
type suiteMemory struct {
	mu  sync.Mutex
	ids map[string]int // by address
}

func (m *suiteMemory) keep(address string, id int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids == nil {
		m.ids = map[string]int{}
	}
	m.ids[address] = id
}

// order puts the suite that worked before the others.
func (m *suiteMemory) order(address string) []suite {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := cipherSuites()
	slices.SortStableFunc(list, func(a, b suite) int {
		switch m.ids[address] {
		case a.id:
			return -1
		case b.id:
			return 1
		}
		return 0
	})
	return list
}
