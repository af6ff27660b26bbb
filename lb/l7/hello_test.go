package l7

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"testing"
)

func addr(n byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 80)
}

// clientHello is what crypto/tls sends first.
func clientHello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer func() { _ = b.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(a, cfg).Handshake() // it gets no answer
		_ = a.Close()
	}()
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := b.Read(buf)
		all = append(all, buf[:n]...)
		if _, complete, bad := ParseHello(all); err != nil || complete || bad != nil {
			break
		}
	}
	_ = b.Close()
	<-done
	return all
}

func TestParseHelloOfARealClient(t *testing.T) {
	for _, row := range []struct {
		cfg  *tls.Config
		want string
	}{
		{&tls.Config{ServerName: "red.example.com"}, "red.example.com"},
		{&tls.Config{ServerName: "red.example.com", MaxVersion: tls.VersionTLS12}, "red.example.com"},
		{&tls.Config{InsecureSkipVerify: true}, ""},
	} {
		b := clientHello(t, row.cfg)
		h, complete, err := ParseHello(b)
		if h.ServerName != row.want || !complete || err != nil {
			t.Errorf("ParseHello = %+v, %v, %v; want %q", h, complete, err, row.want)
		}
		for n := range b {
			if _, complete, err := ParseHello(b[:n]); complete || err != nil {
				t.Fatalf("ParseHello of %d bytes of %d = %v, %v; want it incomplete", n, len(b), complete, err)
			}
		}
	}
}

func TestParseHelloInManyRecords(t *testing.T) {
	b := clientHello(t, &tls.Config{ServerName: "red.example.com"})
	var cut []byte
	for rest := b[recordHeader:]; len(rest) > 0; {
		n := min(7, len(rest))
		cut = append(append(cut, recordHandshake, 3, 1, 0, byte(n)), rest[:n]...)
		rest = rest[n:]
	}
	if h, complete, err := ParseHello(cut); h.ServerName != "red.example.com" || !complete || err != nil {
		t.Errorf("ParseHello = %+v, %v, %v; want red.example.com", h, complete, err)
	}
}

func TestParseHelloRefuses(t *testing.T) {
	good := clientHello(t, &tls.Config{ServerName: "red.example.com"})
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"HTTP":                  []byte("GET / HTTP/1.1\r\n"),
		"another record":        change(0, 23),
		"another version":       change(1, 2),
		"an empty record":       {22, 3, 1, 0, 0},
		"a record too long":     {22, 3, 1, 0xff, 0xff, 1},
		"another message":       change(recordHeader, 2),
		"a message too long":    change(recordHeader+1, 0xff),
		"a session id too long": change(recordHeader+handshakeHeader+34, 33),
		"lengths that overrun":  change(recordHeader+handshakeHeader+34+33, 0xff),
	} {
		if _, complete, err := ParseHello(b); complete || !errors.Is(err, errNoHello) {
			t.Errorf("%s: ParseHello = %v, %v; want an error", name, complete, err)
		}
	}
}

// serverHello makes the beginning of a server's answer.
func serverHello(session string) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(append(body, byte(len(session))), session...)
	body = append(body, 0x13, 0x01, 0)
	message := append([]byte{typeServerHello, 0, 0, byte(len(body))}, body...)
	return append([]byte{recordHandshake, 3, 3, 0, byte(len(message))}, message...)
}

func TestG7NewSession(t *testing.T) {
	for _, row := range []struct{ answer, sent, want string }{
		{"abcd", "", "abcd"},
		{"abcd", "abcd", ""}, // an echo, as TLS 1.3 has it
		{"", "x", ""},
	} {
		if got := newSession(serverHello(row.answer), row.sent); got != row.want {
			t.Errorf("newSession(%q, %q) = %q; want %q", row.answer, row.sent, got, row.want)
		}
	}
	if got := newSession([]byte("HTTP/1.1 200 OK"), ""); got != "" {
		t.Errorf("newSession of HTTP = %q", got)
	}
}

// FuzzParseHello checks that no bytes break the parser, and that what is complete stays what it is with more behind it.
func FuzzParseHello(f *testing.F) {
	f.Add(clientHello(f, &tls.Config{ServerName: "red.example.com"}))
	f.Add(serverHello("abcd"))
	f.Add([]byte{22, 3, 1, 0, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, complete, err := ParseHello(b)
		if complete && err != nil || len(h.SessionID) > maxSessionID || len(h.ServerName) > len(b) {
			t.Errorf("ParseHello = %+v, %v, %v", h, complete, err)
		}
		if again, ok, err := ParseHello(append(bytes.Clone(b), 0, 1, 2)); complete && (!ok || err != nil || again != h) {
			t.Errorf("ParseHello with more = %+v, %v, %v; want %+v", again, ok, err, h)
		}
		newSession(b, "")
	})
}
