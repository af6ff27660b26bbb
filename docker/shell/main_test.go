package shell

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for.
const patience = time.Minute

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// bench is a machine with a bridge and two containers on it, c1 and c2, and an outside host on a cable.
type bench struct {
	testing.TB
	ctx                   context.Context
	host, c1, c2, outside *System
}

// mac is the address that Docker gives the holder of an IP address (E1).
func mac(a netip.Addr) wire.MAC {
	b := a.As4()
	return wire.MAC{0x02, 0x42, b[0], b[1], b[2], b[3]}
}

func newBench(t testing.TB) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	b := &bench{TB: t, ctx: ctx}
	var wg sync.WaitGroup
	start := func(run func(context.Context) error) { wg.Go(func() { _ = run(ctx) }) }
	newNS := func(name string, forward bool) *netns.Namespace {
		ns := netns.New(netns.Config{Name: name, Forward: forward})
		ns.SetResolver(resolveTest)
		start(ns.Run)
		return ns
	}
	host, outside := newNS("node1", true), newNS("outside", false)
	link := fabric.NewLink("node1", "outside")
	eth := netns.InterfaceConfig{Name: "eth0", MAC: wire.MAC{0x08, 0, 0x27, 0x3c, 0x91, 0x0e}, Port: link.A(), Addr: netip.MustParsePrefix("192.168.56.11/24")}
	must(host.AddInterface(eth))
	eth.MAC[5], eth.Port, eth.Addr = 1, link.B(), netip.MustParsePrefix("192.168.56.1/24")
	must(outside.AddInterface(eth))
	start(link.Run)
	br := must(host.AddBridge(netns.InterfaceConfig{Name: "docker0", MAC: wire.MAC{2, 0x42, 0xa4, 0xc1, 0xd2, 0xe3}, Addr: netip.MustParsePrefix("172.17.0.1/16")}))
	b.host = &System{NS: host, Flavour: Host, Files: files("node1", ""), Sandboxes: func() map[string]*netns.Namespace {
		return map[string]*netns.Namespace{"1-abc": b.c1.NS}
	}}
	b.outside = &System{NS: outside, Flavour: Host, Files: files("outside", "")}
	for i, to := range []**System{&b.c1, &b.c2} {
		name, a := fmt.Sprintf("c%d", i+1), netip.AddrFrom4([4]byte{172, 17, 0, byte(2 + i)})
		ns := newNS("node1/"+name, false)
		up, _, err := netns.NewVethPair(host, netns.InterfaceConfig{Name: fmt.Sprintf("veth%d", i+1), MAC: wire.MAC{0x5a, 0x1c, 0x9e, 0x0b, 0x44, byte(i)}},
			ns, netns.InterfaceConfig{Name: "eth0", MAC: mac(a), Addr: netip.PrefixFrom(a, 16)})
		if err != nil {
			t.Fatal(err)
		}
		if err := up.SetMaster(br); err != nil {
			t.Fatal(err)
		}
		if err := ns.AddDefaultRoute(netip.MustParseAddr("172.17.0.1")); err != nil {
			t.Fatal(err)
		}
		*to = &System{NS: ns, Files: files(name, a.String())}
	}
	if err := outside.AddRoute(netns.Route{Dst: netip.MustParsePrefix("172.17.0.0/16"), Via: netip.MustParseAddr("192.168.56.11"),
		Dev: must1(outside.Interface("eth0"))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return b
}

func must1[T any](v T, _ bool) T { return v }

// files are the files of a machine whose name server is c2.
func files(name, addr string) func(path string) ([]byte, bool) {
	return func(path string) ([]byte, bool) {
		text, ok := map[string]string{"/etc/hosts": "127.0.0.1\tlocalhost\n" + addr + "\t" + name + "\n172.17.0.3\tc2\n", "/etc/resolv.conf": "search lab\nnameserver 172.17.0.3\noptions ndots:0\n"}[path]
		return []byte(text), ok
	}
}

func resolveTest(_ context.Context, name string) ([]netip.Addr, error) {
	for n, a := range map[string]string{"c1": "172.17.0.2", "c2": "172.17.0.3", "localhost": "127.0.0.1", "web": "172.17.0.3"} {
		if n == name {
			return []netip.Addr{netip.MustParseAddr(a)}, nil
		}
	}
	if name == "slow" {
		return nil, &net.DNSError{Err: "timeout", Name: name, IsTimeout: true}
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// serve accepts connections in a namespace until the test ends.
func (b *bench) serve(s *System, at string, handle func(net.Conn)) {
	b.Helper()
	l, err := s.NS.Listen("tcp", at)
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
			c.Close()
		}
	})
	b.Cleanup(func() { l.Close(); wg.Wait() })
}

// replyWith answers a request with a text, whatever it is.
func replyWith(text string) func(net.Conn) {
	return func(c net.Conn) {
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, strings.ReplaceAll(text, "REQUEST", strings.SplitN(string(buf[:n]), "\r\n", 2)[0]))
	}
}

// serveNames is a name server in c2 that knows web and its reverse.
func (b *bench) serveNames() {
	b.Helper()
	zone := dns.NewSharedZone("shopnet")
	zone.Add("ep1", "web", netip.MustParseAddr("172.17.0.3"))
	b.serveDNS(dns.New(dns.Config{Networks: func() []dns.NetworkZone { return []dns.NetworkZone{{Zone: zone}} }}))
}

// serveDNS runs a name server in c2 until the test ends.
func (b *bench) serveDNS(server interface {
	Serve(ctx context.Context, pc net.PacketConn, ln net.Listener) error
}) {
	b.Helper()
	pc, err := b.c2.NS.ListenPacket("udp", ":53")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(ctx, pc, nil) })
	b.Cleanup(func() { cancel(); wg.Wait() })
}

// run runs a script and returns what it printed.
func (b *bench) run(s *System, script string) (out, errOut string, code int) {
	b.Helper()
	var o, e bytes.Buffer
	code, err := Run(b.ctx, s, script, Stdio{Out: &o, Err: &e})
	if err != nil {
		b.Errorf("Run(%q) = %v", script, err)
	}
	return o.String(), e.String(), code
}

// expect runs a script and compares all it printed with a pattern in which # is a number, * any text of a line.
func (b *bench) expect(s *System, script, want string, status int) {
	b.Helper()
	out, errOut, code := b.run(s, script)
	if !like(want, out+errOut) || code != status {
		b.Errorf("%s\nprinted:\n%s%s(status %d), want:\n%s\n(status %d)", script, out, errOut, code, want, status)
	}
}

// says is a script, what it prints as expect takes it, and its status.
type says struct {
	script, want string
	status       int
}

// each expects several things of a system, one after the other.
func (b *bench) each(s *System, rows []says) {
	b.Helper()
	for _, row := range rows {
		b.expect(s, row.script, row.want, row.status)
	}
}

func like(pattern, text string) bool {
	p := regexp.QuoteMeta(strings.TrimPrefix(pattern, "\n"))
	p = strings.ReplaceAll(p, "#", `[0-9.]+`)
	p = strings.ReplaceAll(p, `\*\*\*`, `(?s:.*)`)
	p = strings.ReplaceAll(p, `\*`, `[^\n]*`)
	return regexp.MustCompile(`\A` + p + `\n?\z`).MatchString(strings.TrimSuffix(text, "\n") + "\n")
}
