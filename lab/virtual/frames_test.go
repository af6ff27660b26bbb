package virtual

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func framed(text string) []byte {
	b := append([]byte(frameMagic), make([]byte, 8)...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
}

func TestUnframer(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"a frame", string(framed("hello")), "hello"},
		{"two", string(framed("hello ")) + string(framed("there")), "hello there"},
		{"an empty one", string(framed("")) + "x", "x"},
		{"no frame", "plain \x00\x00P text", "plain \x00\x00P text"},
		{"what looks like one inside of one", string(framed("\x00\x00PB")), "\x00\x00PB"},
		{"half a header", "x\x00\x00PB1", "x\x00\x00PB1"},
		{"a frame behind a zero", "\x00" + string(framed("y")), "\x00y"},
	} {
		for size := 1; size < 40; size *= 3 {
			var out bytes.Buffer
			u := &unframer{to: &out}
			for b := []byte(c.in); len(b) > 0; {
				n := min(size, len(b))
				if k, err := u.Write(b[:n]); k != n || err != nil {
					t.Fatalf("%s: Write = %d, %v; want %d", c.name, k, err, n)
				}
				b = b[n:]
			}
			if err := u.flush(); err != nil || out.String() != c.want {
				t.Errorf("%s, %d at a time: %q, %v; want %q", c.name, size, out.String(), err, c.want)
			}
		}
	}
}

// However it is cut, nothing that has no header is lost.
func FuzzUnframer(f *testing.F) {
	f.Add([]byte("\x00\x00PB12345678\x00\x00\x00\x02hi"), 3)
	f.Add([]byte("text"), 1)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		var out, want bytes.Buffer
		u := &unframer{to: &out}
		for b := text; len(b) > 0; {
			n := min(max(size, 1)%64+1, len(b))
			want.Write(b[:n])
			if _, err := u.Write(framed(string(b[:n]))); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
		}
		if err := u.flush(); err != nil || !bytes.Equal(out.Bytes(), want.Bytes()) {
			t.Errorf("%q, %v; want %q", out.Bytes(), err, want.Bytes())
		}
		if _, err := (&unframer{}).Write(text); err != nil {
			t.Fatal(err)
		}
	})
}
