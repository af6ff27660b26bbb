package shell

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

// iputils is the ping of distributions.
type iputils struct{}

func (iputils) badName(c *Call, name string, err error) int {
	if temporary(err) {
		return c.fail(2, "%s: Temporary failure in name resolution", name)
	}
	return c.fail(2, "%s: Name or service not known", name)
}

func (iputils) noRoute(c *Call, _ *pingOptions) int {
	c.say("connect: Network is unreachable")
	return 2
}

func (iputils) head(p *pinging) {
	from := ""
	if p.o.device != "" {
		from = fmt.Sprintf("from %s %s: ", p.o.from, p.o.device)
		if p.o.from.String() == p.o.device {
			from = fmt.Sprintf("from %s : ", p.o.from)
		}
	}
	p.c.Printf("PING %s (%s) %s%d(%d) bytes of data.\n", p.o.name, p.o.dst, from, p.o.size, p.o.size+wire.ICMPLen+wire.IPv4Len)
}

// peer is an address with its name before it, unless only numbers are wanted (D24).
func (p *pinging) peer(ctx context.Context, a netip.Addr) string {
	if p.o.numeric {
		return a.String()
	}
	name, ok := p.names[a]
	if !ok {
		if name = p.c.Sys.reverse(ctx, a); name == "" {
			name = a.String()
		}
		p.names[a] = name
	}
	return fmt.Sprintf("%s (%s)", name, a)
}

func (iputils) reply(ctx context.Context, p *pinging, r netns.PingReply, rtt float64) {
	if p.o.quiet {
		return
	}
	line := fmt.Sprintf("%d bytes from %s: icmp_seq=%d ttl=%d", r.Size, p.peer(ctx, r.From), r.Seq, r.TTL)
	if p.o.size >= 16 {
		line += " time=" + pingTime(rtt) + " ms"
	}
	p.c.Printf("%s\n", line)
}

// pingTime has three digits behind the point, fewer for longer times.
func pingTime(ms float64) string {
	switch {
	case ms >= 99.95:
		return fmt.Sprintf("%.0f", ms)
	case ms >= 9.995:
		return fmt.Sprintf("%.1f", ms)
	case ms >= 0.9995:
		return fmt.Sprintf("%.2f", ms)
	}
	return fmt.Sprintf("%.3f", ms)
}

func (iputils) icmpError(p *pinging, r netns.PingReply) bool {
	if p.o.quiet {
		return true
	}
	text := netns.UnreachableText(r.Type, r.Code)
	if r.MTU > 0 {
		text += fmt.Sprintf(" (mtu = %d)", r.MTU)
	}
	p.c.Printf("From %s icmp_seq=%d %s\n", r.From, r.Seq, text)
	return true
}

func (iputils) sendError(p *pinging, err error) bool {
	var mtu *netns.MTUError
	switch {
	case errors.As(err, &mtu):
		p.c.say("ping: local error: Message too long, mtu=%d", mtu.MTU)
	default:
		p.c.say("ping: sendmsg: %s", errnoText(err))
	}
	return true
}

func (iputils) finish(p *pinging) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n--- %s ping statistics ---\n%d packets transmitted, %d received, ", p.o.name, p.sent, p.received)
	if p.dups > 0 {
		fmt.Fprintf(&b, "+%d duplicates, ", p.dups)
	}
	if p.errors > 0 {
		fmt.Fprintf(&b, "+%d errors, ", p.errors)
	}
	fmt.Fprintf(&b, "%d%% packet loss, time %dms\n", p.loss(), p.last.Sub(p.start).Milliseconds())
	comma := ""
	if p.received > 0 && p.o.size >= 16 {
		mean, deviation := p.average()
		fmt.Fprintf(&b, "rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms", p.low, mean, p.high, deviation)
		comma = ", "
	}
	if p.pipe > 1 {
		fmt.Fprintf(&b, "%spipe %d", comma, p.pipe)
	}
	p.c.Printf("%s\n", b.String())
}

// busyboxPing is busybox's.
type busyboxPing struct{}

func (busyboxPing) badName(c *Call, name string, _ error) int {
	return c.Errorf("bad address '%s'", name)
}

func (b busyboxPing) noRoute(c *Call, o *pingOptions) int {
	b.head(&pinging{c: c, o: o})
	return c.Errorf("sendto: Network is unreachable")
}

func (busyboxPing) head(p *pinging) {
	p.c.Printf("PING %s (%s): %d data bytes\n", p.o.name, p.o.dst, p.o.size)
}

func (busyboxPing) reply(_ context.Context, p *pinging, r netns.PingReply, rtt float64) {
	if !p.o.quiet {
		p.c.Printf("%d bytes from %s: seq=%d ttl=%d time=%.3f ms\n", r.Size, r.From, r.Seq, r.TTL, rtt)
	}
}

func (busyboxPing) icmpError(*pinging, netns.PingReply) bool { return false }

func (busyboxPing) sendError(p *pinging, err error) bool {
	if errors.Is(err, syscall.EMSGSIZE) {
		err = syscall.EMSGSIZE
	}
	p.c.say("ping: sendto: %s", errnoText(err))
	return false
}

func (busyboxPing) finish(p *pinging) {
	p.c.Printf("\n--- %s ping statistics ---\n%d packets transmitted, %d packets received, %d%% packet loss\n", p.o.name, p.sent, p.received, p.loss())
	if p.received > 0 {
		mean, _ := p.average()
		p.c.Printf("round-trip min/avg/max = %.3f/%.3f/%.3f ms\n", p.low, mean, p.high)
	}
}
