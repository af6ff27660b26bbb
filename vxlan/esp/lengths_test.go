package esp_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

// Packets of every length open to what AES-GCM, with all of its tag, would take.
func TestOpenAgreesWithGCM(t *testing.T) {
	k := key(3)
	block, _ := aes.NewCipher(k.Value[:])
	gcm, _ := cipher.NewGCM(block)
	sa, w := association(t, hostA, hostB, 3), new(esp.Scratch)
	room := make([]byte, esp.OpenRoom(65535))
	for n := 0; n < 65500; n += 1 + n/50 {
		data := bytes.Repeat([]byte{byte(n), 0x5a}, n/2+1)[:n]
		b := sa.Seal(packet(data), uint32(n), uint64(n)<<40, wire.ProtoUDP, w)
		nonce := append(binary.BigEndian.AppendUint32(nil, sa.SPI), b[esp.HeaderLen:esp.Front]...)
		got, next, err := sa.Open(room, b, w)
		if err != nil || next != wire.ProtoUDP || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes: opened %d, %d, %v", n, len(got), next, err)
		}
		plain := append(bytes.Clone(got), room[16+n:16+len(b)-esp.Front-esp.ICVLen]...)
		if sealed := gcm.Seal(nil, nonce, plain, b[:esp.HeaderLen]); !bytes.Equal(sealed[:len(b)-esp.Front], b[esp.Front:]) {
			t.Fatalf("%d bytes: AES-GCM seals them otherwise", n)
		}
		b[len(b)-1-n%esp.ICVLen] ^= 1
		if _, _, err := sa.Open(room, b, w); !errors.Is(err, esp.ErrICV) {
			t.Fatalf("%d bytes with a bit of the tag turned: %v; want %v", n, err, esp.ErrICV)
		}
	}
}

// What no IP header could tell the length of is no packet.
func TestOpenRefusesTooLong(t *testing.T) {
	sa, w := association(t, hostA, hostB, 1), new(esp.Scratch)
	for _, n := range []int{65536, 1 << 17, 1 << 20} {
		b := sa.Seal(packet(make([]byte, n)), 1, 1, wire.ProtoUDP, w)
		if _, _, err := sa.Open(make([]byte, esp.OpenRoom(len(b))), b, w); !errors.Is(err, esp.ErrMalformed) {
			t.Errorf("%d bytes: %v; want %v", n, err, esp.ErrMalformed)
		}
	}
}
