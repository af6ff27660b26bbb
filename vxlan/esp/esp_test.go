package esp_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

var (
	hostA = netip.MustParseAddr("192.168.1.2")
	hostB = netip.MustParseAddr("192.168.1.3")
)

func key(tag uint32) esp.Key {
	k := esp.Key{Tag: tag}
	for i := range k.Value {
		k.Value[i] = byte(tag) + byte(i)
	}
	return k
}

func association(t testing.TB, src, dst netip.Addr, tag uint32) *esp.SA {
	t.Helper()
	sa, err := esp.NewSA(src, dst, key(tag))
	if err != nil {
		t.Fatal(err)
	}
	return sa
}

// packet returns memory for a packet that carries data.
func packet(data []byte) []byte {
	b := make([]byte, esp.Front, esp.SealedLen(len(data))+esp.Spare)
	return append(b, data...)
}

// X3: each direction and each key has a number of its own.
func TestSPI(t *testing.T) {
	seen := map[uint32]string{}
	for _, ends := range [][2]netip.Addr{{hostA, hostB}, {hostB, hostA}} {
		for tag := range uint32(3) {
			what := fmt.Sprint(ends, tag)
			spi := esp.SPI(ends[0], ends[1], tag)
			if seen[spi] != "" || spi != esp.SPI(ends[0], ends[1], tag) {
				t.Errorf("SPI %#x of %s is that of %s, too", spi, what, seen[spi])
			}
			seen[spi] = what
		}
	}
	// FNV-1a over ::ffff:192.168.1.2, 00000001, ::ffff:192.168.1.3, worked out by hand.
	h := uint32(2166136261)
	b, _ := hex.DecodeString("00000000000000000000ffffc0a80102" + "00000001" + "00000000000000000000ffffc0a80103")
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	if got := esp.SPI(hostA, hostB, 1); got != h {
		t.Errorf("SPI = %#x; want %#x", got, h)
	}
}

// X2, X11: the layout of RFC 4303 and 4106 with an integrity value of 8 bytes, the SPI for the salt.
func TestSealLayout(t *testing.T) {
	sa, w := association(t, hostA, hostB, 7), new(esp.Scratch)
	for n := range 9 {
		data := bytes.Repeat([]byte{0xaa}, n)
		got := sa.Seal(packet(data), 0x2a, 0x1122334455667788, wire.ProtoUDP, w)
		plain := bytes.Clone(data)
		for i := byte(1); len(plain)%4 != 2; i++ {
			plain = append(plain, i)
		}
		plain = append(plain, byte(len(plain)-n), wire.ProtoUDP)
		head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, sa.SPI), 0x2a)
		iv := binary.BigEndian.AppendUint64(nil, 0x1122334455667788)
		k := key(7)
		block, _ := aes.NewCipher(k.Value[:])
		gcm, _ := cipher.NewGCM(block)
		nonce := append(binary.BigEndian.AppendUint32(nil, sa.SPI), iv...)
		want := append(append(bytes.Clone(head), iv...), gcm.Seal(nil, nonce, plain, head)...)
		want = want[:len(want)-8]
		if !bytes.Equal(got, want) || len(got) != esp.SealedLen(n) {
			t.Errorf("%d bytes sealed as\n%x; want\n%x", n, got, want)
		}
	}
	if got := hex.EncodeToString(sa.KeyMaterial()); got != fmt.Sprintf("0708090a0b0c0d0e0f10111213141516%08x", sa.SPI) {
		t.Errorf("KeyMaterial = %s", got)
	}
}

// X9: a packet of 1424 bytes fits into 1500, one byte more does not.
func TestMTU(t *testing.T) {
	const outer = wire.IPv4Len
	const inner = wire.UDPLen + wire.VXLANLen + wire.EthernetLen
	if n := outer + esp.SealedLen(inner+1424); n != 1500 {
		t.Errorf("1424 bytes make %d; want 1500", n)
	}
	if n := outer + esp.SealedLen(inner+1425); n <= 1500 {
		t.Errorf("1425 bytes make %d; want more than 1500", n)
	}
}

func TestOpenIsTheInverseOfSeal(t *testing.T) {
	sa, w := association(t, hostA, hostB, 1), new(esp.Scratch)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		data := make([]byte, r.IntN(3000))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		b := sa.Seal(packet(data), r.Uint32(), r.Uint64(), byte(r.UintN(256)), w)
		sealed := bytes.Clone(b)
		got, _, err := sa.Open(make([]byte, esp.OpenRoom(len(b))), b, w)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came out as %d, %v", len(data), len(got), err)
		}
		if !bytes.Equal(b, sealed) {
			t.Fatal("Open changed the packet")
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	sa, w := association(t, hostA, hostB, 1), new(esp.Scratch)
	good := sa.Seal(packet([]byte("hello")), 1, 1, wire.ProtoUDP, w)
	open := func(sa *esp.SA, b []byte) error {
		_, _, err := sa.Open(make([]byte, esp.OpenRoom(len(b))), b, w)
		return err
	}
	for bit := range len(good) * 8 {
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		// The SPI names the association; the header's bits are the sender's to be believed about only by the seal.
		if err := open(sa, b); !errors.Is(err, esp.ErrICV) {
			t.Errorf("with bit %d turned: %v; want %v", bit, err, esp.ErrICV)
		}
	}
	for n := range len(good) {
		if err := open(sa, good[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(good))
		}
	}
	if err := open(association(t, hostA, hostB, 2), good); !errors.Is(err, esp.ErrICV) {
		t.Errorf("with another key: %v", err)
	}
	if err := open(association(t, hostB, hostA, 1), good); !errors.Is(err, esp.ErrICV) {
		t.Errorf("as that of the other direction: %v", err)
	}
}

// A sender that has the key may still write nonsense.
func TestOpenRefusesPadding(t *testing.T) {
	k := key(1)
	block, _ := aes.NewCipher(k.Value[:])
	gcm, _ := cipher.NewGCM(block)
	sa, w := association(t, hostA, hostB, 1), new(esp.Scratch)
	for plain, want := range map[string]error{
		"ab\x00\x11": nil, "a\x01\x01\x11": nil, "\x01\x02\x02\x11": nil,
		"ab\x09\x11": esp.ErrMalformed, "a\x00\x01\x11": esp.ErrMalformed, "ab\x03\x11": esp.ErrMalformed,
	} {
		b := make([]byte, esp.Front)
		binary.BigEndian.PutUint32(b, sa.SPI)
		nonce := append(binary.BigEndian.AppendUint32(nil, sa.SPI), b[esp.HeaderLen:]...)
		b = gcm.Seal(b, nonce, []byte(plain), b[:esp.HeaderLen])
		b = b[:len(b)-8]
		if _, _, err := sa.Open(make([]byte, esp.OpenRoom(len(b))), b, w); !errors.Is(err, want) {
			t.Errorf("%q: %v; want %v", plain, err, want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	sa, w := association(f, hostA, hostB, 1), new(esp.Scratch)
	f.Add([]byte{})
	f.Add(sa.Seal(packet([]byte("hello, world")), 1, 1, wire.ProtoUDP, w))
	f.Add(sa.Seal(packet(nil), 9, 1, 59, w))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		esp.Number(b)
		data, next, err := sa.Open(make([]byte, esp.OpenRoom(len(b))), b, w)
		if !bytes.Equal(b, before) {
			t.Fatal("Open changed the packet")
		}
		if err != nil {
			return
		}
		_, seq, _ := esp.Number(b)
		again := sa.Seal(packet(data), seq, binary.BigEndian.Uint64(b[esp.HeaderLen:]), next, w)
		if len(again) == len(b) && !bytes.Equal(again, b) {
			t.Fatalf("%x opens, but seals to %x", b, again)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	sa, w := association(b, hostA, hostB, 1), new(esp.Scratch)
	data := packet(make([]byte, 1440))
	b.SetBytes(1440)
	b.ReportAllocs()
	for b.Loop() {
		sa.Seal(data, 1, 1, wire.ProtoUDP, w)
	}
}

func BenchmarkOpen(b *testing.B) {
	sa, w := association(b, hostA, hostB, 1), new(esp.Scratch)
	p := sa.Seal(packet(make([]byte, 1440)), 1, 1, wire.ProtoUDP, w)
	room := make([]byte, esp.OpenRoom(len(p)))
	b.SetBytes(1440)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := sa.Open(room, p, w); err != nil {
			b.Fatal(err)
		}
	}
}
