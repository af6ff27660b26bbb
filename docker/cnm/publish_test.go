package cnm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func published(network string, ports ...PortBinding) EndpointConfig {
	return EndpointConfig{Network: network, Ports: ports}
}

// TestPublishedPort checks who reaches a published port, and whom the server sees (B9, B10, B11; acceptance 3).
func TestPublishedPort(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	client := r.machine("client", "192.168.1.10/24")
	r.network(c, NetworkConfig{Name: "n2"})
	web := r.container(c, "web", published("bridge", PortBinding{HostPort: 8080, ContainerPort: 80}))
	same := r.container(c, "same", on("bridge"))
	other := r.container(c, "other", on("n2"))
	r.serve(web.NS(), "web", 80)

	r.says(client, "192.168.1.2:8080", "web 192.168.1.10")
	r.says(c.Host(), "127.0.0.1:8080", "web 172.17.0.1")
	r.says(c.Host(), "192.168.1.2:8080", "web 192.168.1.2")
	r.says(other.NS(), "192.168.1.2:8080", "web 172.17.0.1")
	r.says(same.NS(), "192.168.1.2:8080", "web 172.17.0.1")
	r.says(web.NS(), "192.168.1.2:8080", "web 172.17.0.1")
	r.says(other.NS(), "172.18.0.1:8080", "web 172.17.0.1")
	if _, err := ask(client, "192.168.1.2:8081", soon); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect to a port that is not published = %v; want connection refused", err)
	}
	if got, want := web.Ports(), []PortBinding{{Proto: "tcp", HostIP: netip.IPv4Unspecified(), HostPort: 8080, ContainerPort: 80}}; !slices.Equal(got, want) {
		t.Errorf("Ports = %v; want %v", got, want)
	}
	if err := web.Delete(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(client, "192.168.1.2:8080", soon); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect after the container is gone = %v; want connection refused", err)
	}
	again := r.container(c, "again", published("bridge", PortBinding{HostPort: 8080, ContainerPort: 80}))
	r.serve(again.NS(), "again", 80)
	r.says(client, "192.168.1.2:8080", "again 192.168.1.10")
}

// TestPublishedUDP checks a UDP port, translated and by the forwarder.
func TestPublishedUDP(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	client := r.machine("client", "192.168.1.10/24")
	s := r.container(c, "dns", published("bridge", PortBinding{Proto: "udp", HostPort: 5353, ContainerPort: 53}))
	pc, err := s.NS().ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	r.wg.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(append(buf[:n], []byte(" "+netip.MustParseAddrPort(from.String()).Addr().String())...), from)
		}
	})
	context.AfterFunc(r.ctx, func() { _ = pc.Close() })
	for _, tt := range []struct{ from, to, want string }{
		{"client", "192.168.1.2:5353", "hi 192.168.1.10"},
		{"host", "127.0.0.1:5353", "hi 172.17.0.1"},
	} {
		ns := client
		if tt.from == "host" {
			ns = c.Host()
		}
		conn, err := ns.Dial(r.ctx, "udp", tt.to)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, _ = conn.Write([]byte("hi"))
			buf := make([]byte, 100)
			_ = conn.SetReadDeadline(time.Now().Add(soon))
			if n, err := conn.Read(buf); err != nil || string(buf[:n]) != tt.want {
				t.Errorf("%s asks %s = %q, %v; want %q", tt.from, tt.to, buf[:n], err, tt.want)
			}
		}
		_ = conn.Close()
	}
}

// TestPortConflicts checks the texts of clashes, and that nothing of the loser stays (B24, B28, B29).
func TestPortConflicts(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	r.container(c, "web", published("bridge", PortBinding{HostPort: 8080, ContainerPort: 80}))
	ln, err := c.Host().Listen("tcp", ":9090")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // it ends with its namespace
	before := rulesOf(t, c, "-t", "nat", "-S") + rulesOf(t, c, "-S")
	for _, tt := range []struct {
		name string
		port uint16
		ip   string
		want string
	}{
		{"B28 another container", 8080, "", "Bind for 0.0.0.0:8080 failed: port is already allocated"},
		{"B29 a process", 9090, "", "Error starting userland proxy: listen tcp 0.0.0.0:9090: bind: address already in use"},
		{"B29 one address of all", 8080, "127.0.0.1", "Error starting userland proxy: listen tcp 127.0.0.1:8080: bind: address already in use"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := PortBinding{HostPort: tt.port, ContainerPort: 80}
			if tt.ip != "" {
				b.HostIP = netip.MustParseAddr(tt.ip)
			}
			s := r.sandbox(c, "web2")
			err := s.Join(r.ctx, []EndpointConfig{published("bridge", PortBinding{HostPort: 7070, ContainerPort: 80}, b)})
			if err == nil || !strings.HasPrefix(err.Error(), "driver failed programming external connectivity on endpoint web2 (") || !strings.HasSuffix(err.Error(), "): "+tt.want) {
				t.Errorf("Join = %v; want %q", err, tt.want)
			}
			if !errors.Is(err, ErrSystem) || len(s.Endpoints()) != 0 {
				t.Errorf("Join left %d endpoints", len(s.Endpoints()))
			}
			if err := s.Delete(); err != nil {
				t.Error(err)
			}
			if after := rulesOf(t, c, "-t", "nat", "-S") + rulesOf(t, c, "-S"); after != before {
				t.Errorf("rules after = %s\nbefore = %s", after, before)
			}
		})
	}
}

// TestRandomPorts checks the host ports that are chosen (B26).
func TestRandomPorts(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	ln, err := c.Host().Listen("tcp", ":32769")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // it ends with its namespace
	s := r.container(c, "web", published("bridge", PortBinding{ContainerPort: 80}, PortBinding{ContainerPort: 81}, PortBinding{ContainerPort: 80, Proto: "udp"}))
	var got []uint16
	for _, p := range s.Ports() {
		got = append(got, p.HostPort)
	}
	if want := "[32768 32770 32768]"; fmt.Sprint(got) != want {
		t.Errorf("ports = %v; want %s", got, want)
	}
	if err := s.Delete(); err != nil {
		t.Fatal(err)
	}
	next := r.container(c, "next", published("bridge", PortBinding{ContainerPort: 80}))
	if p := next.Ports()[0].HostPort; p != 32771 {
		t.Errorf("next port = %d; want 32771", p)
	}
}

// TestProxyHalfClose checks that the forwarder carries the end of one direction while the other goes on.
func TestProxyHalfClose(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	s := r.container(c, "web", published("bridge", PortBinding{HostPort: 8080, ContainerPort: 80}))
	ln, err := s.NS().Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	r.wg.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		all, _ := io.ReadAll(conn)
		_, _ = fmt.Fprintf(conn, "%d bytes", len(all))
		_ = conn.Close()
	})
	conn, err := c.Host().Dial(r.ctx, "tcp", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // all was read
	_ = conn.SetDeadline(time.Now().Add(soon))
	_, _ = conn.Write(make([]byte, 100000))
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "100000 bytes" {
		t.Errorf("answer = %q, %v; want 100000 bytes", got, err)
	}
}
