package lab

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/lab/topology"
)

// freeUDP returns an address of this machine that nobody has.
func freeUDP(t testing.TB) string {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it was only to know the port
	return conn.LocalAddr().String()
}

// random is n bytes that are the same for every process, and their sum.
func random(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1, 2, 3}), n)
}

// takeSum reads all that comes and returns its checksum.
func takeSum(conn net.Conn) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, conn)
	return fmt.Sprintf("%d %x", n, h.Sum(nil)), err
}

func sumOf(n int64) string {
	h := sha256.New()
	_, _ = io.Copy(h, random(n)) // neither fails
	return fmt.Sprintf("%d %x", n, h.Sum(nil))
}

// split runs the three parts of a lab and returns them: a on tor, b, and c on leaf.
func split(t *testing.T, at [3]string) (parts [3]*Lab) {
	t.Helper()
	spec := parse(t, fmt.Sprintf(`
netsim: 1
name: split
fabric:
  listen: %s
  switches: {tor: {}, leaf: {remote: %s}}
  routers:
    r: {links: {tor: 192.168.1.1/24, leaf: 10.0.0.1/24}}
  hosts:
    a: {links: {tor: 192.168.1.2/24}, gateway: 192.168.1.1}
    b: {links: {tor: 192.168.1.3/24}, gateway: 192.168.1.1, remote: %s}
    c: {links: {leaf: 10.0.0.2/24}, gateway: 10.0.0.1, remote: %s}
  links: [{between: [r, leaf], loss: 0.5%%}]
`, at[0], at[2], at[1], at[2]))
	for i, a := range at {
		part := spec
		if i > 0 {
			var err error
			if part, err = spec.At(netip.MustParseAddrPort(a)); err != nil {
				t.Fatal(err)
			}
		}
		l, err := Start(t.Context(), part, Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Stop(); err != nil {
				t.Error(err)
			}
		})
		parts[i] = l
	}
	return parts
}

func TestSplitLab(t *testing.T) {
	at := [3]string{freeUDP(t), freeUDP(t), freeUDP(t)}
	parts := split(t, at)
	for i, to := range map[int][]string{0: {"a", "b", "c"}, 1: {"b", "a", "c"}, 2: {"c", "b", "a"}} {
		node := parts[i].MustNode(to[0])
		for _, name := range to[1:] {
			eventually(t, to[0]+" reaches "+name, func() bool { _, err := node.Ping(soon(t), name); return err == nil })
		}
	}
	// Who cannot use trains knows, though the cable is not its own: from a's part it leads to another, from b's it is elsewhere.
	for _, n := range []*Node{parts[0].MustNode("a"), parts[1].MustNode("b"), parts[2].MustNode("c")} {
		if n.NS().Segmentation() {
			t.Errorf("%s sends trains into a cable that loses frames", n.Name())
		}
	}
	if _, err := parts[0].Lookup("b"); err == nil || !strings.Contains(err.Error(), "run by another process, at "+at[1]) {
		t.Errorf("Lookup(b) = %v; want an error that says where it is", err)
	}
	const size = 5_000_000
	ln, err := parts[2].MustNode("c").Listen("tcp", ":9000")
	if err != nil {
		t.Fatal(err)
	}
	sum := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			sum <- err.Error()
			return
		}
		got, _ := takeSum(conn) // what is missing shows in the sum
		sum <- got
	}()
	conn, err := parts[1].MustNode("b").Dial(soon(t), "tcp", "c:9000")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(conn, random(size)); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if got, want := <-sum, sumOf(size); got != want {
		t.Errorf("c got %s; want %s", got, want)
	}
}

// What comes in and is nobody's is counted, and does no harm.
func TestSplitLabCountsWhatIsNotItsOwn(t *testing.T) {
	here, there := freeUDP(t), freeUDP(t)
	l := start(t, fmt.Sprintf(`
netsim: 1
fabric:
  listen: %s
  switches: {tor: {}}
  hosts: {a: {links: {tor: 10.0.0.1/24}}, b: {links: {tor: 10.0.0.2/24}, remote: %s}}
  links: [{between: [b, tor], vni: 42}]
`, here, there), Config{})
	conn, err := net.Dial("udp4", here)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing waits to be sent
	head := []byte{8, 0, 0, 0, 0, 0, 42, 0}
	foreign := append([]byte{8, 0, 0, 0, 0, 0, 43, 0}, make([]byte, 60)...)
	for _, b := range [][]byte{foreign, head[:3], append(head, 1, 2, 3), append([]byte{0}, foreign[1:]...)} {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]uint64{"vxlan " + here + " foreign-vni": 1, "vxlan " + here + " truncated": 1, "b/eth0/vxlan truncated": 1,
		"vxlan " + here + " malformed": 1}
	eventually(t, "all four are counted", func() bool {
		got := map[string]uint64{}
		for _, d := range l.Drops() {
			got[d.Place+" "+d.Reason] = d.Frames
		}
		for k, n := range want {
			if got[k] != n {
				return false
			}
		}
		return true
	})
}

func TestSplitLabFails(t *testing.T) {
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // nothing waits to be sent
	for listen, want := range map[string]string{taken.LocalAddr().String(): "the port is in use", "192.0.2.1:4789": "this machine does not have the address"} {
		text := fmt.Sprintf(`
netsim: 1
fabric:
  listen: %s
  switches: {tor: {}}
  hosts: {a: {links: {tor: 10.0.0.1/24}}, b: {links: {tor: 10.0.0.2/24}, remote: 127.0.0.1:9}}
`, listen)
		spec, err := topology.Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Start(t.Context(), spec, Config{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start with listen %s = %v; want %q", listen, err, want)
		}
	}
}
