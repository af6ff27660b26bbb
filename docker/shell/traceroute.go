package shell

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

// tracer is one run of traceroute.
type tracer struct {
	*Call
	dst     netip.Addr
	first   int
	hops    int
	queries int
	wait    time.Duration
	port    int
	size    int // of the whole packet
	numeric bool
	echo    bool // -I
	df      bool // -F
	icmp    *netns.RawConn
	id      uint16
	probes  []probe
	waiting int
	end     int // the hop that the destination answered at; 0: not yet
}

// probe is one packet that was sent, and what came of it.
type probe struct {
	hop  int
	sent time.Time
	from netip.Addr // zero: nobody answered
	rtt  time.Duration
	mark string // !H and its like
}

// window is how many hops are asked at once.
const window = 5

// runTraceroute is traceroute with UDP probes from port 33434 on, or with -I echo requests.
func runTraceroute(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "n I F m: q: w: f: p: 4 N: z: i: s: l d r v")
	if err != nil {
		return c.badOption(err)
	}
	if len(rest) == 0 || len(rest) > 2 {
		if c.busybox() {
			return c.usage(1)
		}
		return c.usage(0)
	}
	t := &tracer{Call: c, first: 1, hops: 30, queries: 3, wait: 5 * time.Second, port: 33434, size: 60, numeric: opts.has("n"), echo: opts.has("I"), df: opts.has("F")}
	if c.busybox() {
		t.size, t.wait = 46, 3*time.Second
	}
	for _, o := range opts {
		switch o.name {
		case "m":
			t.hops, err = number(o.value, 1, 255)
		case "q":
			t.queries, err = number(o.value, 1, 10)
		case "w":
			t.wait, err = seconds(o.value)
		case "f":
			t.first, err = number(o.value, 1, 255)
		case "p":
			t.port, err = number(o.value, 1, 65535-255*10)
		}
		if err != nil && c.busybox() {
			return c.Errorf("invalid number '%s'", o.value)
		}
		if err != nil {
			return c.say1(fmt.Sprintf("Cannot handle `-%s' option with arg `%s' (argc %d)", o.name, o.value, slices.Index(c.Args, o.value)), 2)
		}
	}
	if len(rest) == 2 {
		if t.size, err = number(rest[1], wire.IPv4Len+wire.UDPLen, 65000); err != nil {
			return c.say1(fmt.Sprintf("Cannot handle \"packetlen\" cmdline arg `%s' on position 2 (argc %d)", rest[1], len(c.Args)-1), 2)
		}
	}
	if t.dst, err = c.Sys.lookup(ctx, rest[0]); err != nil {
		if c.busybox() {
			return c.Errorf("bad address '%s'", rest[0])
		}
		return c.say1(rest[0]+": Name or service not known\nCannot handle \"host\" cmdline arg `"+rest[0]+"' on position 1 (argc "+fmt.Sprint(len(c.Args)-1)+")", 2)
	}
	return t.run(ctx, rest[0])
}

func (t *tracer) run(ctx context.Context, name string) int {
	t.Printf("traceroute to %s (%s), %d hops max, %d byte packets\n", name, t.dst, t.hops, t.size)
	if _, ok := t.Sys.NS.SourceFor(t.dst); !ok {
		return t.say1("connect: Network is unreachable", 1)
	}
	pinger, err := t.Sys.NS.NewPinger() // for an identifier that nobody else has
	if err != nil {
		return t.Errorf("%s", errnoText(err))
	}
	defer pinger.Close() //nolint:errcheck // it returns nil
	t.id = pinger.ID()
	if t.icmp, err = t.Sys.NS.ListenRaw(wire.ProtoICMP); err != nil {
		return t.Errorf("%s", errnoText(err))
	}
	defer t.icmp.Close() //nolint:errcheck // it returns nil
	t.icmp.Follow(ctx)
	for from := t.first; from <= t.hops && t.end == 0 && ctx.Err() == nil; from += window {
		to := min(from+window-1, t.hops)
		if err := t.ask(ctx, from, to); err != nil {
			return t.Errorf("%s", errnoText(err))
		}
		for hop := from; hop <= to && (t.end == 0 || hop <= t.end) && ctx.Err() == nil; hop++ {
			t.show(ctx, hop)
		}
	}
	if ctx.Err() != nil {
		return statusInterrupted
	}
	return 0
}

// ask sends the probes of some hops and gathers the answers.
func (t *tracer) ask(ctx context.Context, from, to int) error {
	for hop := from; hop <= to; hop++ {
		for range t.queries {
			index := len(t.probes)
			t.probes = append(t.probes, probe{hop: hop, sent: time.Now()})
			if err := t.send(index, hop); err != nil {
				var mtu *netns.MTUError
				if !errors.As(err, &mtu) {
					return err
				}
				t.probes[index].from, t.probes[index].mark = t.dst, fmt.Sprintf(" !F-%d", mtu.MTU)
				continue
			}
			t.waiting++
		}
	}
	wait, cancel := context.WithTimeout(ctx, t.wait)
	defer cancel()
	for t.waiting > 0 && !t.complete() {
		p, err := t.icmp.Read(wait)
		if err != nil {
			break
		}
		t.take(p)
	}
	t.waiting = 0
	return nil
}

// complete tells whether all that will be shown is there, once the destination has answered.
func (t *tracer) complete() bool {
	if t.end == 0 {
		return false
	}
	for _, p := range t.probes {
		if p.hop <= t.end && !p.from.IsValid() {
			return false
		}
	}
	return true
}

func (t *tracer) send(index, ttl int) error {
	o := netns.RawOptions{TTL: ttl, DF: t.df}
	b := make([]byte, t.size-wire.IPv4Len)
	if t.echo {
		wire.PutICMP(b, wire.ICMPEcho, 0, uint32(t.id)<<16|uint32(index+1))
		wire.ICMP(b).FillChecksum()
		return t.icmp.Send(t.dst, b, o)
	}
	wire.PutUDP(b, t.sourcePort(), uint16(t.port+index), len(b))
	o.Proto = wire.ProtoUDP
	return t.icmp.Send(t.dst, b, o)
}

func (t *tracer) sourcePort() uint16 { return 32768 + t.id%28232 }

// take matches an ICMP message with a probe.
func (t *tracer) take(p netns.RawPacket) {
	m, err := wire.ParseICMP(p.Body)
	if err != nil {
		return
	}
	index, final := -1, false
	switch {
	case m.Type() == wire.ICMPEchoReply && t.echo && m.ID() == t.id:
		index, final = int(m.Seq())-1, true
	case m.IsError():
		index = t.quoted(p.Body[wire.ICMPLen:])
		final = m.Type() == wire.ICMPUnreachable
	}
	if index < 0 || index >= len(t.probes) || t.probes[index].from.IsValid() {
		return
	}
	q := &t.probes[index]
	q.from, q.rtt = p.Src, time.Duration(p.At-q.sent.UnixNano())
	if m.Type() == wire.ICMPUnreachable {
		q.mark = unreachableMark(m)
	}
	t.waiting--
	if final && (t.end == 0 || q.hop < t.end) {
		t.end = q.hop
	}
}

// quoted returns the number of the probe that an error quotes, -1 if it is about another packet.
func (t *tracer) quoted(b []byte) int {
	h, err := wire.ParseIPv4(b)
	if err != nil || h.Dst() != t.dst || len(b) < h.HeaderLen()+8 {
		return -1
	}
	inner := b[h.HeaderLen():]
	switch {
	case t.echo && h.Proto() == wire.ProtoICMP && binary.BigEndian.Uint16(inner[4:]) == t.id:
		return int(binary.BigEndian.Uint16(inner[6:])) - 1
	case !t.echo && h.Proto() == wire.ProtoUDP && binary.BigEndian.Uint16(inner) == t.sourcePort():
		return int(binary.BigEndian.Uint16(inner[2:])) - t.port
	}
	return -1
}

func unreachableMark(m wire.ICMP) string {
	switch m.Code() {
	case wire.CodePortUnreachable:
		return ""
	case wire.CodeNetUnreachable:
		return " !N"
	case wire.CodeHostUnreachable:
		return " !H"
	case 2:
		return " !P"
	case wire.CodeFragNeeded:
		return fmt.Sprintf(" !F-%d", m.MTU())
	case 9, 10, wire.CodeAdminProhibited:
		return " !X"
	}
	return fmt.Sprintf(" !<%d>", m.Code())
}

// show prints the line of a hop.
func (t *tracer) show(ctx context.Context, hop int) {
	var b strings.Builder
	fmt.Fprintf(&b, "%2d ", hop)
	var last netip.Addr
	for _, p := range t.probes {
		if p.hop != hop {
			continue
		}
		if !p.from.IsValid() {
			b.WriteString(" *")
			continue
		}
		if p.from != last {
			b.WriteString(" " + t.peer(ctx, p.from))
			last = p.from
		}
		fmt.Fprintf(&b, "  %.3f ms%s", max(float64(p.rtt)/1e6, 0), p.mark)
	}
	t.Printf("%s\n", b.String())
}

func (t *tracer) peer(ctx context.Context, a netip.Addr) string {
	if t.numeric {
		return a.String()
	}
	name := t.Sys.reverse(ctx, a)
	if name == "" {
		name = a.String()
	}
	return fmt.Sprintf("%s (%s)", name, a)
}
