package lab

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/netns"
)

// namespaces returns every namespace of the lab once: machines, containers, overlays.
func (l *Lab) namespaces() []*netns.Namespace {
	var all []*netns.Namespace
	seen := map[*netns.Namespace]bool{}
	add := func(ns *netns.Namespace) {
		if ns != nil && !seen[ns] {
			seen[ns] = true
			all = append(all, ns)
		}
	}
	for _, m := range l.phys.order {
		add(m.ns)
		for _, ns := range m.named.namespaces() {
			add(ns)
		}
		if eng := l.engine(m.name); eng != nil {
			for _, s := range eng.Controller().Sandboxes() {
				add(s.NS())
			}
			for _, n := range eng.Controller().Networks() {
				add(n.Sandbox())
			}
		}
	}
	return all
}

// DropCount is how many wire frames a place has dropped for a reason.
type DropCount struct {
	Place  string // a namespace, one of its interfaces, a port of a switch or the end of a cable
	Reason string
	Frames uint64
}

// drops are counts by place and reason.
type drops map[[2]string]uint64

// Drops returns what was dropped so far, everywhere in the lab, by place and reason.
func (l *Lab) Drops() []DropCount {
	var all []DropCount
	for k, n := range l.drops() {
		all = append(all, DropCount{k[0], k[1], n})
	}
	slices.SortFunc(all, func(a, b DropCount) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

func (l *Lab) drops() drops {
	d := drops{}
	add := func(place string, s fabric.Stats) {
		for reason, n := range s.Drops {
			d[[2]string{place, reason}] += n
		}
	}
	for _, ns := range l.namespaces() {
		add(ns.Name(), ns.Read())
		if e := ns.ESP(); e != nil {
			add(ns.Name()+"/esp", e.Read())
		}
		for _, i := range ns.Interfaces() {
			add(ns.Name()+"/"+i.Name(), i.Read())
			if c, ok := i.Device().(interface{ Read() fabric.Stats }); ok {
				add(ns.Name()+"/"+i.Name(), c.Read())
			}
			if sw := i.Bridge(); sw != nil {
				for _, p := range sw.Ports() {
					add(ns.Name()+"/"+i.Name()+":"+p.Name, p.Stats)
				}
			}
		}
	}
	for _, t := range l.allTAPs() {
		add(t.place(l), t.dev.Read())
	}
	for name, sw := range l.phys.switches {
		for _, p := range sw.Ports() {
			add(name+":"+p.Name, p.Stats)
		}
	}
	for _, c := range l.phys.cables {
		add(c.link.A().Name(), c.link.A().Read())
		add(c.link.B().Name(), c.link.B().Read())
	}
	l.mu.Lock()
	u := l.underlay
	l.mu.Unlock()
	u.drops(add)
	return d
}

// judgeDrops holds what was dropped since the step began against what must have been.
func (p *stepPlayer) judgeDrops(a *attempt) {
	if len(p.step.Expect.DroppedBecause) == 0 {
		return
	}
	now := p.lab.drops()
	var came []string
	for k, n := range now {
		if n -= p.baseline[k]; n > 0 {
			came = append(came, fmt.Sprintf("%s at %s", k[1], k[0]))
		}
	}
	slices.Sort(came)
	got := "nothing was dropped"
	if len(came) > 0 {
		got = "there were " + strings.Join(came, ", ")
	}
	for _, want := range p.step.Expect.DroppedBecause {
		found := false
		for k, n := range now {
			found = found || k[1] == want.Reason && n > p.baseline[k] && atPlace(k[0], want.At)
		}
		switch {
		case !found && want.At == "":
			a.fail("expected a drop because of %s, got none: %s", want.Reason, got)
		case !found:
			a.fail("expected a drop because of %s at %s, got none: %s", want.Reason, want.At, got)
		}
	}
}

// atPlace tells whether a place is the one that is meant, or within it: host-a/eth0 is within host-a.
func atPlace(place, at string) bool {
	rest, ok := strings.CutPrefix(place, at)
	return ok && (at == "" || rest == "" || rest[0] == '/' || rest[0] == ':')
}

// watch begins to observe what the step's expectations are about.
func (p *stepPlayer) watch() {
	if len(p.step.Expect.DroppedBecause) > 0 {
		p.baseline = p.lab.drops()
	}
	for _, s := range p.step.Expect.SourceSeen {
		p.sources = append(p.sources, &sourceWatch{want: s, seen: map[netip.Addr]bool{}})
	}
}

func (p *stepPlayer) unwatch() {
	for _, s := range p.sources {
		s.stop()
	}
}

// sourceWatch notes the sources of the IPv4 packets that come to a node.
type sourceWatch struct {
	want topology.Source

	mu     sync.Mutex
	node   *Node               // guarded by mu; nil: not found yet
	seen   map[netip.Addr]bool // guarded by mu
	remove []func()            // guarded by mu
}

// watchSources looks at nodes that are not looked at yet.
func (p *stepPlayer) watchSources() {
	for _, s := range p.sources {
		node, err := p.lab.node(*s.want.At)
		s.mu.Lock()
		begin := err == nil && (s.node == nil || s.node.ns != node.ns)
		if begin {
			s.node = node
		}
		s.mu.Unlock()
		if begin {
			s.begin(node)
		}
	}
}

func (s *sourceWatch) begin(node *Node) {
	for _, i := range node.ns.Interfaces() {
		remove := i.Taps().Add(fabric.TapFunc(func(dir fabric.Direction, f *fabric.Frame) {
			if dir != fabric.In {
				return
			}
			if h, ok := ipHeader(f.Linear()); ok {
				s.mu.Lock()
				s.seen[h.Src()] = true
				s.mu.Unlock()
			}
		}))
		s.mu.Lock()
		s.remove = append(s.remove, remove)
		s.mu.Unlock()
	}
}

func (s *sourceWatch) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, remove := range s.remove {
		remove()
	}
}

// ipHeader returns the IPv4 header of a frame that begins with Ethernet.
func ipHeader(b []byte) (wire.IPv4, bool) {
	e, err := wire.ParseEthernet(b)
	if err != nil || e.Type() != wire.TypeIPv4 {
		return nil, false
	}
	h, err := wire.ParseIPv4(b[e.Len():])
	return h, err == nil
}

func (p *stepPlayer) judgeSources(a *attempt) {
	for _, s := range p.sources {
		s.mu.Lock()
		var seen []netip.Addr
		for addr := range s.seen {
			seen = append(seen, addr)
		}
		s.mu.Unlock()
		if slices.ContainsFunc(seen, s.want.Addr.Contains) {
			continue
		}
		got := "nothing"
		if len(seen) > 0 {
			got = joinAddrs(seen)
		}
		a.fail("expected %s to see packets from %s, got %s", s.want.At.Text, s.want.Addr, got)
	}
}

// spreadWatch follows the handshakes of connections through the lab by their initial sequence numbers, which no
// translation of addresses changes: the last namespace that a SYN came into is the backend's.
type spreadWatch struct {
	mu   sync.Mutex
	sent map[uint16]uint32 // guarded by mu; the number of each SYN that left the client, by its source port
	last map[uint32]string // guarded by mu; where a SYN came into last, by its number
	ends map[string]bool   // where connections ended; of connect's caller
}

// tap returns what looks at the interfaces of a namespace; from is the client's.
func (w *spreadWatch) tap(from, ns *netns.Namespace) fabric.TapFunc {
	return func(dir fabric.Direction, f *fabric.Frame) {
		h, ok := ipHeader(f.Linear())
		if !ok || h.Proto() != wire.ProtoTCP || h.IsFragment() {
			return
		}
		t, err := wire.ParseTCP(h[h.HeaderLen():])
		if err != nil || t.Flags()&(wire.SYN|wire.ACK) != wire.SYN {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if dir == fabric.Out && ns == from {
			w.sent[t.SrcPort()] = t.Seq()
		}
		if dir == fabric.In {
			w.last[t.Seq()] = ns.Name()
		}
	}
}

// judgeSpread opens connections one after the other and counts the backends that they reach.
func (p *stepPlayer) judgeSpread(ctx context.Context, node *Node, q topology.Spread) string {
	addr, err := node.resolve(ctx, q.To.Host)
	if err != nil {
		return fmt.Sprintf("expected %s to reach %d backends from %s: %v", probeText(q.To), q.Backends, node.name, err)
	}
	w := &spreadWatch{sent: map[uint16]uint32{}, last: map[uint32]string{}, ends: map[string]bool{}}
	for _, ns := range p.lab.namespaces() {
		for _, i := range ns.Interfaces() {
			defer i.Taps().Add(w.tap(node.ns, ns))()
		}
	}
	connected := 0
	var failed outcome
	for range q.Requests {
		err := w.connect(ctx, node, netip.AddrPortFrom(addr, q.To.Port))
		if err == nil {
			connected++
		} else if failed = outcomeOf(err); ctx.Err() != nil {
			break
		}
	}
	backends := slices.Sorted(maps.Keys(w.ends))
	if len(backends) >= q.Backends && connected == q.Requests {
		return ""
	}
	got := fmt.Sprintf("%d of %d connections reached %d", connected, q.Requests, len(backends))
	if len(backends) > 0 {
		got += ": " + strings.Join(backends, ", ")
	}
	if connected < q.Requests {
		got += fmt.Sprintf("; others had %s", failed)
	}
	return fmt.Sprintf("expected %s to reach %d backends from %s, got %s", probeText(q.To), q.Backends, node.name, got)
}

// connect opens a connection and notes where it ended. Translation keeps the source port unless another connection has
// it; a connection that loses its port is not seen to end anywhere.
func (w *spreadWatch) connect(ctx context.Context, node *Node, to netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := node.Dial(ctx, "tcp", to.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was only to see
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if seq, ok := w.sent[local.Port()]; ok && w.last[seq] != "" {
		w.ends[w.last[seq]] = true
	}
	clear(w.sent)
	clear(w.last)
	return nil
}
