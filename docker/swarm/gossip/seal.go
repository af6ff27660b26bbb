package gossip

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
)

// A sealed packet is a version, a nonce (the sender's session, drawn as it starts, and a counter), and what AES-GCM makes of
// the content: 29 bytes more than that, as memberlist's own format has. That one has random nonces and so nothing by which to
// know a packet that is played again; taking a key out of its ring also changes a slice that others are reading.
const (
	sealVersion  = 1
	sessionSize  = 6
	nonceSize    = 12
	sealHead     = 1 + nonceSize
	sealOverhead = sealHead + 16

	window      = 1024 // of packets of a session that may overtake each other
	maxSessions = 4096
)

// keyring is the keys of a cluster as one node has them. All methods may be called at once.
type keyring struct {
	keys    atomic.Pointer[keys]
	session [sessionSize]byte
	sent    atomic.Uint64

	mu       sync.Mutex
	sessions map[[sessionSize]byte]*span // of others; guarded by mu
}

// keys is a ring: the first seals, all open. Never changed.
type keys struct {
	raw [][]byte
	gcm []cipher.AEAD
}

// span is what a session's packets were.
type span struct {
	highest uint64
	seen    [window / 64]uint64 // a bit for each of the last window counters, by their remainder
}

func newKeyring(raw [][]byte) (*keyring, error) {
	k := &keyring{sessions: make(map[[sessionSize]byte]*span)}
	if _, err := rand.Read(k.session[:]); err != nil {
		return nil, fmt.Errorf("gossip keys: %w", err)
	}
	if len(raw) == 0 {
		k.keys.Store(&keys{})
		return k, nil
	}
	return k, k.set(raw)
}

func (k *keyring) set(raw [][]byte) error {
	if len(raw) < 1 || len(raw) > 3 {
		return fmt.Errorf("gossip keys: there are %d; want the primary one and up to two others", len(raw))
	}
	next := &keys{}
	for i, key := range raw {
		block, err := aes.NewCipher(key)
		if err != nil {
			return fmt.Errorf("gossip key %d: it has %d bytes; want 16, 24 or 32", i+1, len(key))
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return fmt.Errorf("gossip key %d: %w", i+1, err)
		}
		next.raw = append(next.raw, append([]byte(nil), key...))
		next.gcm = append(next.gcm, gcm)
	}
	k.keys.Store(next)
	return nil
}

// sealed tells whether there are keys.
func (k *keyring) sealed() bool { return len(k.keys.Load().gcm) > 0 }

// seal returns a packet with this content; without keys, the content itself.
func (k *keyring) seal(content []byte) []byte {
	ring := k.keys.Load()
	if len(ring.gcm) == 0 {
		return content
	}
	b := make([]byte, sealHead, len(content)+sealOverhead)
	b[0] = sealVersion
	copy(b[1:], k.session[:])
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], k.sent.Add(1))
	copy(b[1+sessionSize:], n[2:])
	return ring.gcm[0].Seal(b, b[1:sealHead], content, b[:1])
}

// open returns a copy of the content of a packet, or why it is refused.
func (k *keyring) open(b []byte) (content []byte, why Reason, ok bool) {
	ring := k.keys.Load()
	if len(ring.gcm) == 0 {
		return bytes.Clone(b), 0, true
	}
	if len(b) <= sealOverhead || b[0] != sealVersion {
		return nil, Forged, false
	}
	for _, gcm := range ring.gcm {
		if content, err := gcm.Open(nil, b[1:sealHead], b[sealHead:], b[:1]); err == nil {
			if !k.first([sessionSize]byte(b[1:]), counter(b)) {
				return nil, Replayed, false
			}
			return content, 0, true
		}
	}
	return nil, Forged, false
}

func counter(b []byte) uint64 {
	var n [8]byte
	copy(n[2:], b[1+sessionSize:sealHead])
	return binary.BigEndian.Uint64(n[:])
}

// first tells whether this is the first packet of a session with that counter.
func (k *keyring) first(session [sessionSize]byte, n uint64) bool {
	if session == k.session {
		return false // our own, thrown back
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.sessions[session]
	if s == nil {
		for old := range k.sessions {
			if len(k.sessions) < maxSessions {
				break
			}
			delete(k.sessions, old)
		}
		s = &span{}
		k.sessions[session] = s
	}
	return s.first(n)
}

func (s *span) first(n uint64) bool {
	if n+window <= s.highest {
		return false
	}
	if n > s.highest {
		if n-s.highest >= window {
			s.seen = [window / 64]uint64{}
		} else {
			for i := s.highest + 1; i < n; i++ {
				s.seen[i%window/64] &^= 1 << (i % 64)
			}
			s.seen[n%window/64] &^= 1 << (n % 64)
		}
		s.highest = n
	}
	bit := uint64(1) << (n % 64)
	if s.seen[n%window/64]&bit != 0 {
		return false
	}
	s.seen[n%window/64] |= bit
	return true
}

// SetKeys replaces the ring: the first key seals, all open, up to three (C12). Nothing is lost in a rotation in which each key
// is on every ring before anyone seals with it, and stays until nobody does. A ring that is empty at first stays so.
func (n *Node) SetKeys(keys ...[]byte) error {
	if !n.ring.sealed() {
		return fmt.Errorf("gossip of %s: it began without keys, and so goes on in clear", n.cfg.Name)
	}
	return n.ring.set(keys)
}
