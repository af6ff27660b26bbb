package shell

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

// pingOptions is what ping was asked to do.
type pingOptions struct {
	name     string
	dst      netip.Addr
	count    int // 0: until it is ended
	size     int
	ttl      int
	df       bool
	quiet    bool
	numeric  bool
	interval time.Duration
	wait     time.Duration // for the last answer
	deadline time.Duration // 0: none
	from     netip.Addr    // -I; zero: the route's
	device   string
}

// runPing is ping: iputils' on machines and big images, busybox's in its flavour.
func runPing(ctx context.Context, c *Call) int {
	o, err := parsePing(c.Args[1:])
	if err != nil {
		return c.badPing(err)
	}
	p := &pinging{c: c, o: o, style: iputils{}}
	if c.busybox() {
		p.style = busyboxPing{}
	}
	if o.dst, err = c.Sys.lookup(ctx, o.name); err != nil {
		return p.style.badName(c, o.name, err)
	}
	_, literal := netip.ParseAddr(o.name)
	o.numeric = o.numeric || literal == nil
	if o.device != "" {
		if o.from, err = c.source(o.device); err != nil {
			return c.fail(2, "%v", err)
		}
	}
	if _, ok := c.Sys.NS.SourceFor(o.dst); !ok {
		return p.style.noRoute(c, o)
	}
	return p.run(ctx)
}

// badPing says what is wrong with the command line (iputils 20221126).
func (c *Call) badPing(err error) int {
	var option *optionError
	switch {
	case errors.As(err, &option):
		return c.badOption(err)
	case c.busybox() && errors.Is(err, errNoDestination):
		return c.usage(1)
	}
	if c.busybox() {
		return c.Errorf("%s", strings.Replace(err.Error(), "invalid argument: ", "invalid number ", 1))
	}
	return c.Errorf("%v", err)
}

var errNoDestination = errors.New("usage error: Destination address required")

// source returns the address that -I asks for: an interface's, or itself.
func (c *Call) source(device string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(device)
	for _, i := range c.Sys.NS.Interfaces() {
		for _, p := range i.Addrs() {
			if i.Name() == device || err == nil && p.Addr() == addr {
				return p.Addr(), nil
			}
		}
	}
	if err == nil {
		return addr, errors.New("bind: Cannot assign requested address")
	}
	return addr, fmt.Errorf("unknown iface %s", device)
}

func parsePing(args []string) (*pingOptions, error) {
	opts, rest, err := getopt(args, "c: i: W: w: s: t: M: I: n q 4 v A O D b U")
	if err != nil {
		return nil, err
	}
	if len(rest) != 1 {
		return nil, errNoDestination
	}
	o := &pingOptions{name: rest[0], size: 56, interval: time.Second, wait: 10 * time.Second}
	for _, opt := range opts {
		switch opt.name {
		case "c":
			o.count, err = number(opt.value, 1, math.MaxInt32)
		case "i":
			o.interval, err = seconds(opt.value)
			o.interval = max(o.interval, 2*time.Millisecond)
		case "W":
			o.wait, err = seconds(opt.value)
		case "w":
			o.deadline, err = seconds(opt.value)
		case "s":
			o.size, err = number(opt.value, 0, 65507)
		case "t":
			o.ttl, err = number(opt.value, 1, 255)
		case "M":
			o.df = opt.value == "do"
			if opt.value != "do" && opt.value != "dont" && opt.value != "want" {
				err = fmt.Errorf("invalid -M argument: %s", opt.value)
			}
		case "I":
			o.device = opt.value
		case "n":
			o.numeric = true
		case "q":
			o.quiet = true
		}
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// pinging is a ping that runs.
type pinging struct {
	c     *Call
	o     *pingOptions
	style pingStyle
	conn  *netns.Pinger
	raw   *netns.RawConn // for -I

	start, last            time.Time
	sent, received, errors int
	dups                   int
	sentAt                 map[uint16]time.Time
	answered               map[uint16]bool
	pipe                   int
	low, high, sum, square float64 // milliseconds
	names                  map[netip.Addr]string
}

// protoNone is an IP protocol that no packet has: a raw socket of it receives nothing.
const protoNone = 255

// pingStyle is how a ping looks.
type pingStyle interface {
	badName(c *Call, name string, err error) int
	noRoute(c *Call, o *pingOptions) int
	head(p *pinging)
	reply(ctx context.Context, p *pinging, r netns.PingReply, rtt float64)
	icmpError(p *pinging, r netns.PingReply) (counts bool)
	sendError(p *pinging, err error) (goOn bool)
	finish(p *pinging)
}

func (p *pinging) run(ctx context.Context) int {
	var err error
	if p.conn, err = p.c.Sys.NS.NewPinger(); err != nil {
		return p.c.fail(2, "socket: %s", errnoText(err))
	}
	defer p.conn.Close() //nolint:errcheck // it returns nil
	p.conn.Follow(ctx)
	if p.o.from.IsValid() {
		if p.raw, err = p.c.Sys.NS.ListenRaw(protoNone); err != nil {
			return p.c.fail(2, "socket: %s", errnoText(err))
		}
		defer p.raw.Close() //nolint:errcheck // it returns nil
		p.raw.Follow(ctx)
	}
	p.sentAt, p.answered, p.names = map[uint16]time.Time{}, map[uint16]bool{}, map[netip.Addr]string{}
	p.start = time.Now()
	p.last = p.start
	if p.o.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.o.deadline)
		defer cancel()
	}
	p.style.head(p)
	if !p.loop(ctx) {
		return 1
	}
	p.style.finish(p)
	if p.received == 0 || p.o.deadline > 0 && p.o.count > 0 && p.received < p.o.count {
		return 1
	}
	return 0
}

// loop sends and receives until all is answered or the time is over; false: a request could not be sent at all.
func (p *pinging) loop(ctx context.Context) bool {
	next := p.start
	for ctx.Err() == nil && !p.done() {
		if (p.o.count == 0 || p.sent < p.o.count) && !time.Now().Before(next) {
			if !p.send() {
				return false
			}
			next = next.Add(p.o.interval)
			if p.done() {
				return true
			}
		}
		until := next
		if p.o.count > 0 && p.sent >= p.o.count {
			if until = p.last.Add(p.lingering()); !time.Now().Before(until) {
				return true
			}
		}
		if !p.receive(ctx, until) {
			return true
		}
	}
	return true
}

// done tells whether nothing is to come any more.
func (p *pinging) done() bool {
	if p.o.count == 0 {
		return false
	}
	if p.o.deadline > 0 {
		return p.received >= p.o.count
	}
	return p.received+p.errors >= p.o.count
}

// lingering is how long to wait for the last answer: twice the longest time, if there was any, else -W.
func (p *pinging) lingering() time.Duration {
	if p.o.deadline > 0 {
		return p.o.deadline
	}
	if p.received > 0 {
		return min(p.o.wait, max(2*time.Duration(p.high*float64(time.Millisecond)), p.o.interval))
	}
	return p.o.wait
}

func (p *pinging) send() bool {
	p.sent++
	seq := uint16(p.sent)
	if p.c.busybox() {
		seq--
	}
	p.last = time.Now()
	p.sentAt[seq] = p.last
	delete(p.answered, seq)
	delete(p.sentAt, seq-30000) // the count wraps
	err := p.request(seq)
	if err == nil {
		return true
	}
	p.errors++
	return p.style.sendError(p, err)
}

func (p *pinging) request(seq uint16) error {
	if p.raw == nil {
		return p.conn.Send(p.o.dst, netns.PingOptions{Seq: seq, Size: p.o.size, TTL: p.o.ttl, DF: p.o.df})
	}
	b := make([]byte, wire.ICMPLen+p.o.size)
	wire.PutICMP(b, wire.ICMPEcho, 0, uint32(p.conn.ID())<<16|uint32(seq))
	wire.ICMP(b).FillChecksum()
	return p.raw.Send(p.o.dst, b, netns.RawOptions{Src: p.o.from, TTL: p.o.ttl, DF: p.o.df, Proto: wire.ProtoICMP})
}

// receive takes one answer, if one comes in time; false: the namespace has ended.
func (p *pinging) receive(ctx context.Context, until time.Time) bool {
	wait, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	r, err := p.conn.Receive(wait)
	if err != nil {
		return wait.Err() != nil
	}
	at, known := p.sentAt[r.Seq]
	if !known {
		return true
	}
	p.last = time.Now()
	if behind := p.sent - int(r.Seq); behind >= 0 && behind < 1<<15 {
		p.pipe = max(p.pipe, behind+1)
	}
	if r.Type != wire.ICMPEchoReply {
		if p.style.icmpError(p, r) {
			p.errors++
		}
		return true
	}
	rtt := float64(r.At-at.UnixNano()) / 1e6
	p.account(max(rtt, 0), r.Seq)
	p.style.reply(ctx, p, r, max(rtt, 0))
	return true
}

func (p *pinging) account(rtt float64, seq uint16) {
	if p.answered[seq] {
		p.dups++
		return
	}
	p.answered[seq] = true
	if p.received++; p.received == 1 {
		p.low, p.high = rtt, rtt
	}
	p.low, p.high = min(p.low, rtt), max(p.high, rtt)
	p.sum += rtt
	p.square += rtt * rtt
}

// loss is the share of requests that were not answered, in percent.
func (p *pinging) loss() int {
	if p.sent == 0 {
		return 0
	}
	return (p.sent - p.received) * 100 / p.sent
}

func (p *pinging) average() (mean, deviation float64) {
	n := float64(p.received)
	mean = p.sum / n
	return mean, math.Sqrt(max(0, p.square/n-mean*mean))
}
