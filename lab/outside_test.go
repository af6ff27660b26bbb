package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/topology"
)

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// exposed starts bridgeLab with further ports and proxies.
func exposed(t *testing.T, cfg Config, expose ...string) *Lab {
	t.Helper()
	spec := parse(t, bridgeLab)
	for _, e := range expose {
		if err := spec.ParseExpose(e); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Start(context.Background(), spec, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the page on the published port", func() bool {
		return probe(soon(t), l.MustNode("client"), topology.Probe{Host: "host-a", Port: 8000, Proto: "tcp"}).verdict == answered
	})
	return l
}

// get fetches a page of this machine, by a proxy unless it is nil.
func get(t *testing.T, proxy *url.URL, address string) (status int, body string) {
	t.Helper()
	tr := &http.Transport{Proxy: http.ProxyURL(proxy)}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(soon(t), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestExposedPortsReachTheLab(t *testing.T) {
	l := exposed(t, Config{}, "0=host-a:8000", "0=host-a/cat-web:5000", "127.0.0.1:0=host-a:81")
	doors := l.Listening()
	if len(doors) != 3 || doors[1].Node != "host-a/cat-web" || doors[1].Port != 5000 || doors[1].Kind != KindExpose {
		t.Fatalf("Listening = %+v; want three exposed ports", doors)
	}
	wire, err := l.MustNode("host-a").Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Stop()
	for _, d := range doors[:2] {
		if status, body := get(t, nil, "http://"+d.Listen+"/"); status != 200 || !strings.Contains(body, "for Cats") {
			t.Errorf("%s: %d %q; want the page for cats", d, status, body)
		}
	}
	// The published port sees the packets of another machine.
	if _, err := wire.Wait(soon(t), func(p Packet) bool {
		return p.DstPort == 8000 && p.Src == netip.MustParseAddr("192.168.1.254") && p.Dir == fabric.In
	}); err != nil {
		t.Errorf("the host saw nothing of the name server: %v", err)
	}
	// Nothing listens on port 81: the real client is refused, too.
	conn, err := net.Dial("tcp", doors[2].Listen)
	if errors.Is(err, syscall.ECONNRESET) {
		return // the reset came before the client looked
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it is reset
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Read from a port that refuses: %v; want a reset", err)
	}
}

// What one side has said to its end, the other reads, and may still answer.
func TestExposedPortHalfCloses(t *testing.T) {
	spec := parse(t, twoHosts)
	if err := spec.ParseExpose("0=b:7"); err != nil {
		t.Fatal(err)
	}
	l, err := Start(context.Background(), spec, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop() //nolint:errcheck // goleak tells
	ln, err := l.MustNode("b").Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(conn) // to the end
		_, _ = conn.Write(append([]byte("got "), b...))
		_ = conn.Close()
	}()
	conn, err := net.Dial("tcp", l.Listening()[0].Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // all was read
	big := bytes.Repeat([]byte("x"), 1<<20)
	if _, err := conn.Write(big); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, append([]byte("got "), big...)) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(big)+4)
	}
}

func TestExposedPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // it was used
	spec := parse(t, twoHosts)
	if err := spec.ParseExpose(taken.Addr().String() + "=b:7"); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(context.Background(), spec, Config{Proxies: []ProxyConfig{{Listen: anyPort}}}); err == nil || !strings.Contains(err.Error(), "the port is in use on this machine") {
		t.Errorf("Start = %v; want that the port is in use", err)
	}
	var mistakes topology.Errors
	if err := spec.ParseExpose("8080=c:7"); !errors.As(err, &mistakes) || !strings.Contains(err.Error(), `node "c" is not defined`) {
		t.Errorf("ParseExpose = %v; want that there is no node c", err)
	}
}

func TestProxyEntersTheLab(t *testing.T) {
	l := exposed(t, Config{Proxies: []ProxyConfig{{Listen: anyPort}, {Listen: anyPort, Node: "cat-web"}}})
	doors := l.Listening()
	if doors[0].Node != "client" || doors[0].Kind != KindProxy {
		t.Errorf("Listening = %+v; want the first to enter at client", doors)
	}
	for _, row := range []struct {
		proxy, url string
		status     int
		body       string
	}{
		{"http://" + doors[0].Listen, "http://host-a:8000/", 200, "for Cats"},
		{"socks5h://" + doors[0].Listen, "http://host-a:8000/", 200, "for Cats"},
		{"socks5://" + doors[0].Listen, "http://192.168.1.2:8000/", 200, "for Cats"},
		{"http://" + doors[1].Listen, "http://cat-web:5000/", 200, "for Cats"}, // a name of the container's network
		{"http://" + doors[0].Listen, "http://cat-web:5000/", 502, "cat-web"},
		{"http://" + doors[0].Listen, "http://host-a:81/", 502, "connection refused"},
		{"", "http://" + doors[0].Listen + "/", 400, "netsim's proxy into lab bridge-lab, at client"},
	} {
		var proxy *url.URL
		if row.proxy != "" {
			proxy, _ = url.Parse(row.proxy)
		}
		if status, body := get(t, proxy, row.url); status != row.status || !strings.Contains(body, row.body) {
			t.Errorf("%s by %s: %d %q; want %d %q", row.url, row.proxy, status, body, row.status, row.body)
		}
	}
}

// A tunnel that CONNECT opened carries what was sent ahead of its answer, and is closed with the lab.
func TestProxyConnect(t *testing.T) {
	l := exposed(t, Config{Proxies: []ProxyConfig{{Listen: anyPort, Node: "client"}}})
	dial := func() (net.Conn, *bufio.Reader) {
		conn, err := net.Dial("tcp", l.Listening()[0].Listen)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		return conn, bufio.NewReader(conn)
	}
	conn, r := dial()
	defer conn.Close() //nolint:errcheck // all was read
	if _, err := io.WriteString(conn, "CONNECT host-a:8000 HTTP/1.1\r\nHost: host-a:8000\r\n\r\nGET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.") || !bytes.Contains(got, []byte("for Cats")) {
		t.Errorf("read %q, %v; want the tunnel and the page", got, err)
	}
	refused, r := dial()
	defer refused.Close() //nolint:errcheck // likewise
	if _, err := io.WriteString(refused, "CONNECT host-a:81 HTTP/1.1\r\nHost: host-a:81\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 502 Bad Gateway\r\n" {
		t.Errorf("read %q, %v; want 502", line, err)
	}
	idle, r := dial()
	defer idle.Close() //nolint:errcheck // the lab has
	if _, err := io.WriteString(idle, "CONNECT host-a:8000 HTTP/1.1\r\nHost: host-a:8000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 200 Connection established\r\n" {
		t.Errorf("read %q, %v; want 200", line, err)
	}
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(r); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the lab's end: %v; want an end", err)
	}
}

func TestProxyAtAnUnknownNode(t *testing.T) {
	_, err := Start(context.Background(), parse(t, twoHosts), Config{Proxies: []ProxyConfig{{Listen: anyPort, Node: "bb"}}})
	if !errors.Is(err, ErrNoNode) {
		t.Errorf("Start = %v; want ErrNoNode", err)
	}
}
