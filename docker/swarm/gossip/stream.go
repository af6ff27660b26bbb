package gossip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

// A sealed stream begins with a challenge from each side, 16 random bytes; the key of each direction comes from a key of the ring
// and both challenges, so a stream that was recorded opens nowhere else. What follows are records: a length of two bytes, and
// what AES-GCM makes of up to 16 KiB with the record's number as nonce.
const (
	challengeSize = 16
	recordSize    = 16 << 10
	recordMost    = recordSize + 16
)

var (
	errForged    = errors.New("the stream is not sealed with a key of the ring")
	errOversized = errors.New("the stream is larger than any node sends")
)

// stream is a TCP connection of the transport: its end is counted, its length is bounded, and it is sealed if there are keys.
// One goroutine may read while another writes.
type stream struct {
	net.Conn
	t      *transport
	remote net.Addr // never nil, as that of a connection that has been reset is
	once   sync.Once
	server bool
	left   int // bytes that may still be read

	salt []byte      // both challenges; nil: in clear
	in   cipher.AEAD // nil: not known yet
	out  cipher.AEAD
	got  uint64 // records
	sent uint64
	rest []byte // opened and not read yet
	room []byte // where records are opened, and rest lies
}

// records are buffers of records that are written. A netstack's endpoint holds on to what was written last for as long as it
// exists, which is minutes for one that has been closed, so what is written is in buffers that many share.
var records = sync.Pool{New: func() any { return new([2 + recordMost]byte) }}

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return s.remote }

// greet exchanges challenges.
func (s *stream) greet() error {
	mine, theirs := make([]byte, challengeSize), make([]byte, challengeSize)
	if _, err := rand.Read(mine); err != nil {
		return err
	}
	if _, err := s.Conn.Write(mine); err != nil {
		return err
	}
	if _, err := io.ReadFull(s.Conn, theirs); err != nil {
		return err
	}
	if s.server {
		s.salt = append(mine, theirs...)
	} else {
		s.salt = append(theirs, mine...)
	}
	var err error
	s.out, err = s.derive(s.t.node.ring.keys.Load().raw[0], s.server)
	return err
}

// derive returns the cipher of a direction.
func (s *stream) derive(key []byte, fromServer bool) (cipher.AEAD, error) {
	info := "gossip stream, from who called"
	if fromServer {
		info = "gossip stream, from who was called"
	}
	k, err := hkdf.Key(sha256.New, key, s.salt, info, len(key))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func numbered(n *uint64) []byte {
	nonce := make([]byte, nonceSize)
	binary.BigEndian.PutUint64(nonce[nonceSize-8:], *n)
	*n++
	return nonce
}

// Write implements net.Conn.
func (s *stream) Write(b []byte) (int, error) {
	if s.salt == nil {
		return s.Conn.Write(b)
	}
	buf := records.Get().(*[2 + recordMost]byte)
	defer records.Put(buf)
	for rest := b; len(rest) > 0; {
		n := min(len(rest), recordSize)
		out := binary.BigEndian.AppendUint16(buf[:0], uint16(n+16))
		out = s.out.Seal(out, numbered(&s.sent), rest[:n], nil)
		if _, err := s.Conn.Write(out); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	if s.left <= 0 {
		s.t.node.refuse(Oversized, s.RemoteAddr().String())
		return 0, errOversized
	}
	if s.salt == nil {
		n, err := s.Conn.Read(b[:min(len(b), s.left)])
		s.left -= n
		return n, err
	}
	if len(s.rest) == 0 {
		if err := s.record(); err != nil {
			return 0, err
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// record reads and opens the next record.
func (s *stream) record() error {
	var head [2]byte
	if _, err := io.ReadFull(s.Conn, head[:]); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(head[:]))
	if size <= 16 || size > recordMost {
		return s.forged()
	}
	if cap(s.room) < size {
		s.room = make([]byte, size)
	}
	sealed := s.room[:size]
	if _, err := io.ReadFull(s.Conn, sealed); err != nil {
		return err
	}
	s.left -= size
	nonce := numbered(&s.got)
	if s.in != nil {
		plain, err := s.in.Open(sealed[:0], nonce, sealed, nil)
		if err != nil {
			return s.forged()
		}
		s.rest = plain
		return nil
	}
	raw := s.t.node.ring.keys.Load().raw
	for i, key := range raw {
		in, err := s.derive(key, !s.server)
		if err != nil {
			return err
		}
		var room []byte // opening in place would destroy the record for the next key
		if i == len(raw)-1 {
			room = sealed[:0]
		}
		if plain, err := in.Open(room, nonce, sealed, nil); err == nil {
			s.in, s.rest = in, plain
			return nil
		}
	}
	return s.forged()
}

func (s *stream) forged() error {
	s.t.node.refuse(Forged, s.RemoteAddr().String())
	return errForged
}

// Close implements net.Conn.
func (s *stream) Close() error {
	err := net.ErrClosed
	s.once.Do(func() {
		err = s.Conn.Close()
		s.t.forget(s)
	})
	return err
}
