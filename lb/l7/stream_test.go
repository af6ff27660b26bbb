package l7

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// secure starts an HTTPS server.
func secure(t testing.TB, text string) (Backend, *httptest.Server) {
	t.Helper()
	s := httptest.NewTLSServer(says(text))
	t.Cleanup(s.Close)
	return at(text, s.Listener), s
}

func TestG7ServerNamesLeadToServersThatOpenTLSThemselves(t *testing.T) {
	red, server := secure(t, "red")
	white, _ := secure(t, "white")
	s := serve(t, Config{}, (*Router).ServeTLS, Route{Kind: TLS, Host: "red.example.com", Backends: []Backend{deaf(t), red}},
		Route{Kind: TLS, Host: "*.example.com", Backends: []Backend{white}})
	for name, want := range map[string]string{"red.example.com": "red", "RED.example.com": "red", "blue.example.com": "white"} {
		conn, err := tls.Dial("tcp", s.addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if cert := conn.ConnectionState().PeerCertificates[0]; !cert.Equal(server.Certificate()) {
			t.Errorf("%s: the certificate is not the server's own", name)
		}
		req, _ := http.NewRequest("GET", "https://"+name+"/", nil)
		req.Close = true
		if err := req.Write(conn); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.HasSuffix(got, []byte(want)) {
			t.Errorf("%s = %q, %v; want %s", name, got, err, want)
		}
		_ = conn.Close()
	}
	if got := s.Counters(); got.Connections != 3 {
		t.Errorf("Counters = %+v; want 3 connections", got)
	}
}

func TestTLSRefusals(t *testing.T) {
	s := serve(t, Config{HeaderTimeout: 100 * time.Millisecond}, (*Router).ServeTLS, Route{Kind: TLS, Host: "none"})
	_, err := tls.Dial("tcp", s.addr, &tls.Config{ServerName: "red.example.com", InsecureSkipVerify: true})
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("an unknown name fails with %v; want the alert unrecognized_name", err)
	}
	if _, err := tls.Dial("tcp", s.addr, &tls.Config{ServerName: "none", InsecureSkipVerify: true}); err == nil {
		t.Error("a route without backends connects")
	}
	for _, send := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", ""} {
		c := dial(t, s.addr)
		_, _ = io.WriteString(c, send)
		if got, err := io.ReadAll(c); len(got) > 0 {
			t.Errorf("%q is answered by %q, %v; want nothing", send, got, err)
		}
		_ = c.Close()
	}
	want := map[Reason]uint64{NoRoute: 1, NoBackend: 1, BadHello: 3}
	eventually(t, "all are counted", func() bool {
		got := s.Counters().Refused
		return got[NoRoute] == want[NoRoute] && got[NoBackend] == want[NoBackend] && got[BadHello] == want[BadHello]
	})
}

// echo answers each connection with first, then with what it hears.
func echo(t testing.TB, name string, first []byte) Backend {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				buf := make([]byte, 4096)
				if len(first) > 0 {
					if _, err := c.Read(buf); err != nil {
						return
					}
					_, _ = c.Write(first)
				}
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return at(name, l)
}

// hello makes a ClientHello that resumes a session.
func hello(t testing.TB, session string) []byte {
	b := clientHello(t, &tls.Config{ServerName: "a", MaxVersion: tls.VersionTLS12})
	body := bytes.Clone(b[recordHeader+handshakeHeader:])
	old := int(body[34])
	body = append(append(append(bytes.Clone(body[:34]), byte(len(session))), session...), body[35+old:]...)
	message := append([]byte{typeClientHello, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append([]byte{recordHandshake, 3, 1, byte(len(message) >> 8), byte(len(message))}, message...)
}

func TestG7ASessionComesBackToItsServer(t *testing.T) {
	one, two := echo(t, "one", serverHello("session-1")), echo(t, "two", serverHello("session-2"))
	s := serve(t, Config{}, (*Router).ServeTLS, Route{Kind: TLS, Host: "a", Backends: []Backend{one, two}})
	ask := func(session string) string {
		c := dial(t, s.addr)
		defer func() { _ = c.Close() }()
		_, _ = c.Write(hello(t, session))
		buf := make([]byte, len(serverHello("session-1")))
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
		return newSession(buf, "")
	}
	if a, b := ask(""), ask(""); a != "session-1" || b != "session-2" {
		t.Fatalf("without a session: %s, %s; want each in turn", a, b)
	}
	for _, want := range []string{"session-2", "session-2", "session-1", "session-2", "session-1"} {
		if got := ask(want); got != want {
			t.Errorf("%s comes to the server of %s", want, got)
		}
	}
}

func TestTCPPassesBothWaysAndEndsHalfByHalf(t *testing.T) {
	s := serve(t, Config{}, (*Router).ServeTCP, Route{Kind: TCP, Backends: []Backend{echo(t, "a", nil), deaf(t)}})
	for range 3 {
		c := dial(t, s.addr).(*net.TCPConn)
		_, _ = io.WriteString(c, "hello")
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
			t.Errorf("answer = %q, %v; want hello, though nothing more is sent", got, err)
		}
		_ = c.Close()
	}
}

func TestTCPWithoutRouteOrBackend(t *testing.T) {
	s := serve(t, Config{}, (*Router).ServeTCP)
	try := func() {
		if got, _ := io.ReadAll(dial(t, s.addr)); len(got) > 0 {
			t.Errorf("answer = %q; want none", got)
		}
	}
	try()
	if err := s.SetRoutes([]Route{{Kind: TCP, Backends: []Backend{deaf(t)}}}); err != nil {
		t.Fatal(err)
	}
	try()
	if got := s.Counters().Refused; got[NoRoute] != 1 || got[Unreachable] != 1 {
		t.Errorf("refused = %v; want one of each", got)
	}
}

func TestAQuietTunnelEnds(t *testing.T) {
	s := serve(t, Config{TunnelTimeout: 50 * time.Millisecond}, (*Router).ServeTCP, Route{Kind: TCP, Backends: []Backend{echo(t, "a", nil)}})
	c := dial(t, s.addr)
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("answer = %q; want none", got)
	}
}

func TestServeEndsWithItsListener(t *testing.T) {
	for name, how := range map[string]func(*Router, context.Context, net.Listener) error{"HTTP": (*Router).Serve, "TLS": (*Router).ServeTLS} {
		l := listen(t)
		_ = l.Close()
		if err := how(New(Config{}), context.Background(), l); err == nil {
			t.Errorf("%s: Serve of a closed listener = nil; want an error", name)
		}
	}
}
