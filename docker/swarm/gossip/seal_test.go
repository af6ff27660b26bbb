package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/netns"
)

func rings(t testing.TB, a, b [][]byte) (*keyring, *keyring) {
	t.Helper()
	ka, err := newKeyring(a)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := newKeyring(b)
	if err != nil {
		t.Fatal(err)
	}
	return ka, kb
}

func TestSealOpensOnce(t *testing.T) {
	a, b := rings(t, [][]byte{key(1), key(2)}, [][]byte{key(3), key(2), key(1)})
	p := a.seal([]byte("hello"))
	for _, bad := range [][]byte{nil, p[:len(p)-1], append([]byte{2}, p[1:]...), append(bytes.Clone(p[:len(p)-1]), p[len(p)-1]^1)} {
		if _, why, ok := b.open(bad); ok || why != Forged {
			t.Errorf("open(%x) = %v, %v; want it forged", bad, why, ok)
		}
	}
	if got, _, ok := b.open(p); !ok || string(got) != "hello" {
		t.Errorf("open = %q, %v", got, ok)
	}
	if _, why, ok := b.open(p); ok || why != Replayed {
		t.Errorf("open again = %v, %v; want it replayed", why, ok)
	}
	if _, why, ok := a.open(p); ok || why != Replayed {
		t.Errorf("open of one's own = %v, %v; want it replayed", why, ok)
	}
	if _, why, ok := b.open([]byte("in clear, and as long as a packet that is sealed")); ok || why != Forged {
		t.Errorf("open of clear text = %v, %v; want it forged", why, ok)
	}
}

func TestWindow(t *testing.T) {
	s := &span{}
	for _, step := range []struct {
		n    uint64
		want bool
	}{{1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {1000, true}, {1000 + window, true}, {1000, false}, {1001, true}, {999, false},
		{1000 + window - 1, true}, {5 * window, true}, {4*window + 1, true}, {4 * window, false}, {5 * window, false}} {
		if got := s.first(step.n); got != step.want {
			t.Errorf("first(%d) = %v; want %v", step.n, got, step.want)
		}
	}
}

// C12: while keys are rotated in the order of Docker's key manager, at each node at another time, nothing is lost.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nodes := r.cluster(3, func(c *Config) { c.Keys = [][]byte{key(2), key(1), key(3)} })
	r.met(nodes)
	steps := [][][]byte{{key(2), key(3), key(4)}, {key(3), key(2), key(4)}, {key(4), key(3), key(5)}}
	for i, step := range steps {
		for j, n := range nodes {
			if err := n.SetKeys(step...); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("ep%d-%d", i, j)
			r.put(n, name, "x")
			r.all(nodes, name, "x")
		}
	}
	late := r.node(func(c *Config) { c.Keys = [][]byte{key(4)} })
	r.join(late, nodes[0])
	if err := late.JoinNetwork("net"); err != nil {
		t.Fatal(err)
	}
	r.all([]*Node{late}, "ep0-0", "x")
	for _, n := range append(nodes, late) {
		if got := n.Refused(); got[Forged]+got[Replayed] > 0 {
			t.Errorf("%s refused %v", n.cfg.Name, got)
		}
	}
	old := r.node(func(c *Config) { c.Keys = [][]byte{key(1)} })
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	if err := old.Join(ctx, nodes[0].cfg.Addr); err == nil {
		t.Error("a node with a key of the past could join")
	}
	if nodes[0].Refused()[Forged] == 0 {
		t.Error("its stream was not counted as forged")
	}
	if err := nodes[0].SetKeys(); err == nil {
		t.Error("a ring without keys was taken")
	}
}

// attack sends a node packets and streams that are none of the cluster's.
func (r *rig) attack(evil *netns.Namespace, at netip.AddrPort) {
	r.Helper()
	pc, err := evil.ListenPacket("udp", ":0")
	if err != nil {
		r.Fatal(err)
	}
	records := message{kind: kindRecords, network: "net"}
	garbage := append([]byte{8}, records.append(nil)[:3]...) // memberlist's user message
	packets := [][]byte{garbage, {}, {244}, {7, 255}, {9, 1, 2}, bytes.Repeat([]byte{7}, 1400), make([]byte, 1401)}
	for k := range byte(16) {
		packets = append(packets, []byte{k, 0x81, 0xa5, 'S', 'e', 'q', 'N', 'o', 0xff})
	}
	for _, p := range packets {
		if _, err := pc.WriteTo(p, net.UDPAddrFromAddrPort(at)); err != nil {
			r.Fatal(err)
		}
	}
	for _, p := range [][]byte{{}, {syncMagic, 0xff, 0xff, 0xff, 0xff}, bytes.Repeat([]byte{6}, 300), append(make([]byte, 16), 255, 255),
		append(append(make([]byte, 16), 0, 20), make([]byte, 20)...), {syncMagic, 0, 0, 0, 1, 9}} {
		c, err := evil.Dial(r.ctx, "tcp", at.String())
		if err != nil {
			r.Fatal(err)
		}
		if _, err := c.Write(p); err != nil {
			r.Fatal(err)
		}
		_ = c.Close()
	}
}

// What an attacker sends from a host on the wire is refused and counted, and the cluster goes on.
func TestForgedOnTheWire(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{true, false} {
		t.Run(fmt.Sprint("sealed ", sealed), func(t *testing.T) {
			r := newRig(t)
			nodes := r.cluster(2, func(c *Config) {
				if sealed {
					c.Keys = [][]byte{key(1)}
				}
			})
			r.met(nodes)
			evil, _ := r.host()
			r.attack(evil, netip.AddrPortFrom(nodes[0].cfg.Addr, Port))
			want := []Reason{Oversized, Malformed}
			if sealed {
				want = []Reason{Oversized, Forged}
			}
			r.eventually(fmt.Sprintf("%v are counted", want), func() bool {
				got := nodes[0].Refused()
				return got[want[0]] > 0 && got[want[1]] > 1
			})
			r.put(nodes[0], "ep", "x")
			r.all(nodes, "ep", "x")
		})
	}
}

// What an attacker sends is logged with its reason, too: a packet that was recorded on the wire and comes again, one that is sealed
// with a key of its own, and one that is too large.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	log := &lines{}
	n := r.node(func(c *Config) {
		c.Keys = [][]byte{key(1)}
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	<-n.Ready()
	ours, theirs := rings(t, [][]byte{key(1)}, [][]byte{key(9)})
	packet := ours.seal([]byte{mlNack, 0x80})
	evil, _ := r.host()
	pc, err := evil.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	for why, p := range map[Reason][]byte{Replayed: packet, Forged: theirs.seal([]byte("join us")), Oversized: make([]byte, packetSize+1)} {
		r.eventually(fmt.Sprint("refused and logged: ", why), func() bool {
			if _, err := pc.WriteTo(p, net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.cfg.Addr, Port))); err != nil {
				t.Fatal(err)
			}
			return n.Refused()[why] > 0 && log.has("gossip refused", "reason="+fmt.Sprint(why))
		})
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(parts, func(p string) bool { return !bytes.Contains(l.text.Bytes(), []byte(p)) })
}

// A stream that was recorded opens nowhere else: the challenge is another.
func TestReplayedStream(t *testing.T) {
	r := newRig(t)
	nodes := r.cluster(2, func(c *Config) { c.Keys = [][]byte{key(1)} })
	r.met(nodes)
	s, err := nodes[1].transport.dial(r.ctx, netip.AddrPortFrom(nodes[0].cfg.Addr, Port).String(), time.Second*10)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ours := s.salt[challengeSize:]
	tap := &recorder{}
	s.Conn = tap.over(s.Conn)
	if _, err := s.Write([]byte{syncMagic, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	evil, _ := r.host()
	c, err := evil.Dial(r.ctx, "tcp", netip.AddrPortFrom(nodes[0].cfg.Addr, Port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := nodes[0].Refused()[Forged]
	if _, err := c.Write(append(bytes.Clone(ours), tap.sent...)); err != nil {
		t.Fatal(err)
	}
	r.eventually("the replay is counted", func() bool { return nodes[0].Refused()[Forged] > before })
}

type recorder struct {
	net.Conn
	sent []byte
}

func (r *recorder) over(c net.Conn) net.Conn { r.Conn = c; return r }

func (r *recorder) Write(b []byte) (int, error) {
	r.sent = append(r.sent, b...)
	return r.Conn.Write(b)
}

func FuzzOpen(f *testing.F) {
	a, b := rings(f, [][]byte{key(1)}, [][]byte{key(2), key(1)})
	f.Add([]byte{})
	f.Add(a.seal([]byte("hello")))
	f.Fuzz(func(t *testing.T, p []byte) {
		first, _, ok := b.open(p)
		if _, why, again := b.open(p); again || ok && why != Replayed {
			t.Errorf("%x opened as %q, and again: %v", p, first, why)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	x, y := rings(b, [][]byte{key(1)}, [][]byte{key(1)})
	content := make([]byte, packetSize-sealOverhead)
	b.ReportAllocs()
	b.SetBytes(packetSize)
	for b.Loop() {
		if _, why, ok := y.open(x.seal(content)); !ok {
			b.Fatal(why)
		}
	}
}
