package shell

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

// Constants of iputils' tracepath: the first port, what it believes before it knows better, and how long and how often it
// asks at each hop.
const (
	pathPort  = 44444
	pathMTU   = 65535
	pathWait  = time.Second
	pathTries = 3
	pathWidth = 52
)

// pathTracer is one run of tracepath.
type pathTracer struct {
	*Call
	dst     netip.Addr
	port    int
	mtu     int
	hops    int
	numeric bool
	both    bool // -b: names and addresses
	icmp    *netns.RawConn
	source  uint16
}

// pathEnd is how a hop's answer ends the run.
type pathEnd struct {
	over    bool
	reached bool
	back    int // hops on the way back; 0: not known
}

// runTracepath is tracepath: the way to a host and the MTU of it, with UDP packets that must not be fragmented.
func runTracepath(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "n b l: p: m: 4 h V")
	if err != nil {
		return c.badOption(err)
	}
	if len(rest) != 1 || opts.has("h") {
		return c.usage(255)
	}
	t := &pathTracer{Call: c, port: pathPort, mtu: pathMTU, hops: 30, numeric: opts.has("n"), both: opts.has("b")}
	for _, o := range opts {
		switch o.name {
		case "l":
			t.mtu, err = number(o.value, wire.IPv4Len+wire.UDPLen, pathMTU)
		case "p":
			t.port, err = number(o.value, 1, 65535-256)
		case "m":
			t.hops, err = number(o.value, 1, 255)
		}
		if err != nil {
			return c.fail(255, "%v", err)
		}
	}
	if t.dst, err = c.Sys.lookup(ctx, rest[0]); err != nil {
		return c.fail(255, "%s: Name or service not known", rest[0])
	}
	if _, ok := c.Sys.NS.SourceFor(t.dst); !ok {
		return c.fail(1, "send: Network is unreachable")
	}
	return t.run(ctx)
}

func (t *pathTracer) run(ctx context.Context) int {
	pinger, err := t.Sys.NS.NewPinger() // for a number that nobody else has
	if err != nil {
		return t.Errorf("socket: %s", errnoText(err))
	}
	defer pinger.Close() //nolint:errcheck // it returns nil
	t.source = 32768 + pinger.ID()%28232
	if t.icmp, err = t.Sys.NS.ListenRaw(wire.ProtoICMP); err != nil {
		return t.Errorf("socket: %s", errnoText(err))
	}
	defer t.icmp.Close() //nolint:errcheck // it returns nil
	t.icmp.Follow(ctx)
	for ttl := 1; ttl <= t.hops && ctx.Err() == nil; ttl++ {
		end, err := t.probe(ctx, ttl)
		switch {
		case err != nil:
			return t.Errorf("send failed: %s", errnoText(err))
		case end.over:
			t.resume(ttl, end)
			return 0
		}
	}
	if ctx.Err() != nil {
		return statusInterrupted
	}
	t.Printf("     Too many hops: pmtu %d\n", t.mtu)
	t.Printf("     Resume: pmtu %d \n", t.mtu)
	return 0
}

// resume prints the last line.
func (t *pathTracer) resume(ttl int, end pathEnd) {
	line := fmt.Sprintf("     Resume: pmtu %d ", t.mtu)
	if end.reached {
		line += fmt.Sprintf("hops %d ", ttl)
		if end.back > 0 {
			line += fmt.Sprintf("back %d ", end.back)
		}
	}
	t.Printf("%s\n", line)
}

// probe asks who is that many hops away, again with a smaller packet each time that one does not fit.
func (t *pathTracer) probe(ctx context.Context, ttl int) (pathEnd, error) {
	for try := 0; try < pathTries && ctx.Err() == nil; {
		at, err := time.Now(), t.send(ttl)
		var mtu *netns.MTUError
		switch {
		case errors.As(err, &mtu) && mtu.MTU < t.mtu && mtu.MTU >= wire.IPv4Len+wire.UDPLen:
			t.mtu = mtu.MTU
			t.Printf("%2d?: %-*s pmtu %d\n", ttl, 32, "[LOCALHOST]", t.mtu)
			continue
		case err != nil:
			return pathEnd{}, err
		}
		m, p, ok := t.answer(ctx, at.Add(pathWait))
		if !ok {
			try++
			continue
		}
		t.line(ctx, ttl, p, time.Duration(p.At-at.UnixNano()))
		if m.Type() == wire.ICMPUnreachable && m.Code() == wire.CodeFragNeeded && int(m.MTU()) < t.mtu && m.MTU() >= wire.IPv4Len+wire.UDPLen {
			t.mtu = int(m.MTU())
			t.Printf("pmtu %d\n", t.mtu)
			continue
		}
		return t.verdict(m, p, ttl), nil
	}
	if ctx.Err() == nil {
		t.Printf("%2d:  no reply\n", ttl)
	}
	return pathEnd{}, nil
}

func (t *pathTracer) send(ttl int) error {
	b := make([]byte, t.mtu-wire.IPv4Len)
	wire.PutUDP(b, t.source, uint16(t.port+ttl-1), len(b))
	return t.icmp.Send(t.dst, b, netns.RawOptions{TTL: ttl, DF: true, Proto: wire.ProtoUDP})
}

// answer waits for an ICMP error about a packet of this run.
func (t *pathTracer) answer(ctx context.Context, until time.Time) (wire.ICMP, netns.RawPacket, bool) {
	wait, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		p, err := t.icmp.Read(wait)
		if err != nil {
			return nil, p, false
		}
		m, err := wire.ParseICMP(p.Body)
		if err == nil && m.IsError() && t.mine(p.Body[wire.ICMPLen:]) {
			return m, p, true
		}
	}
}

// mine tells whether what an error quotes was sent by this run.
func (t *pathTracer) mine(b []byte) bool {
	h, err := wire.ParseIPv4(b)
	return err == nil && h.Dst() == t.dst && h.Proto() == wire.ProtoUDP && len(b) >= h.HeaderLen()+4 &&
		binary.BigEndian.Uint16(b[h.HeaderLen():]) == t.source
}

// line prints who answered, and when; what it means is to follow.
func (t *pathTracer) line(ctx context.Context, ttl int, p netns.RawPacket, rtt time.Duration) {
	who := p.Src.String()
	if !t.numeric {
		if name := t.Sys.reverse(ctx, p.Src); name != "" && t.both {
			who = name + " (" + who + ")"
		} else if name != "" {
			who = name
		}
	}
	rtt = max(rtt, 0)
	t.Printf("%2d:  %-*s  %3d.%03dms ", ttl, pathWidth, who, rtt.Milliseconds(), rtt.Microseconds()%1000)
}

// verdict ends the line of an answer.
func (t *pathTracer) verdict(m wire.ICMP, p netns.RawPacket, ttl int) pathEnd {
	back := hopsBack(p.TTL)
	switch {
	case m.Type() == wire.ICMPTimeExceeded:
		asymmetric := ""
		if back != ttl {
			asymmetric = fmt.Sprintf("asymm %2d ", back)
		}
		t.Printf("%s\n", asymmetric)
		return pathEnd{}
	case m.Type() == wire.ICMPUnreachable && m.Code() == wire.CodePortUnreachable:
		t.Printf("reached\n")
		return pathEnd{over: true, reached: true, back: back}
	}
	mark := "!H"
	switch m.Code() {
	case wire.CodeNetUnreachable:
		mark = "!N"
	case 2: // protocol unreachable (RFC 792)
		mark = "!P"
	case 9, 10, wire.CodeAdminProhibited:
		mark = "!A"
	}
	t.Printf("%s\n", mark)
	return pathEnd{over: true}
}

// hopsBack guesses how many hops a packet came from what is left of its TTL, as tracepath does.
func hopsBack(ttl int) int {
	switch {
	case ttl <= 64:
		return 65 - ttl
	case ttl <= 128:
		return 129 - ttl
	}
	return 256 - ttl
}
