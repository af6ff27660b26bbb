package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/netns"
)

// probeTimeout is how long an answer to a probe is waited for.
const probeTimeout = 2 * time.Second

// verdict is what came of a probe.
type verdict uint8

const (
	answered verdict = iota // a handshake, an answer, an echo reply
	refused                 // a reset or an ICMP error
	silent                  // nothing came back
	unsent                  // there is no route, or no such name
)

var verdictTexts = [...]string{"an answer", "a refusal", "no answer", "no way to it"}

// outcome is a verdict with what it is based on.
type outcome struct {
	verdict verdict
	detail  string
}

// String returns the outcome in words.
func (o outcome) String() string {
	if o.detail == "" {
		return verdictTexts[o.verdict]
	}
	return verdictTexts[o.verdict] + " (" + o.detail + ")"
}

// probes judges the network verbs of a step, all at once.
func (p *stepPlayer) probes(ctx context.Context, a *attempt, node *Node) {
	e := &p.step.Expect
	var wg sync.WaitGroup
	var checks []func() string
	add := func(check func() string) { checks = append(checks, check) }
	for _, group := range []struct {
		probes []topology.Probe
		accept []verdict
		want   string
	}{
		{e.Reachable, []verdict{answered}, "to be reachable"},
		{e.Refused, []verdict{refused}, "to be refused"},
		{e.Timeout, []verdict{silent, unsent}, "to time out"},
	} {
		for _, q := range group.probes {
			add(func() string { return judgeProbe(ctx, node, q, group.accept, group.want) })
		}
	}
	for _, q := range e.DNS {
		add(func() string { return judgeLookup(ctx, node, q) })
	}
	for _, q := range e.LBSpread {
		add(func() string { return p.judgeSpread(ctx, node, q) })
	}
	reasons := make([]string, len(checks))
	for i, check := range checks {
		wg.Go(func() { reasons[i] = check() })
	}
	wg.Wait()
	for _, r := range reasons {
		if r != "" {
			a.fail("%s", r)
		}
	}
}

func judgeProbe(ctx context.Context, node *Node, q topology.Probe, accept []verdict, want string) string {
	got := probe(ctx, node, q)
	if slices.Contains(accept, got.verdict) {
		return ""
	}
	return fmt.Sprintf("expected %s %s from %s, got %s", probeText(q), want, node.name, got)
}

// probeText is a probe as the topology writes it.
func probeText(q topology.Probe) string {
	switch q.Proto {
	case "icmp":
		return q.Host
	case "tcp":
		return fmt.Sprintf("%s:%d", q.Host, q.Port)
	}
	return fmt.Sprintf("%s:%d/%s", q.Host, q.Port, q.Proto)
}

// probe asks once and tells what came back.
func probe(ctx context.Context, node *Node, q topology.Probe) outcome {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	addr, err := node.resolve(ctx, q.Host)
	if err != nil {
		return outcome{unsent, err.Error()}
	}
	if _, ok := node.ns.RouteTo(addr); !ok && !addr.IsLoopback() {
		return outcome{unsent, "network is unreachable"}
	}
	switch q.Proto {
	case "icmp":
		return probeEcho(ctx, node, addr)
	case "udp":
		return probeUDP(ctx, node, netip.AddrPortFrom(addr, q.Port))
	}
	conn, err := node.Dial(ctx, "tcp", netip.AddrPortFrom(addr, q.Port).String())
	if err != nil {
		return outcomeOf(err)
	}
	_ = conn.Close() // it was only to see
	return outcome{answered, "connected"}
}

// outcomeOf judges the error of a socket.
func outcomeOf(err error) outcome {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return outcome{refused, "connection refused"}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return outcome{refused, err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT), errors.As(err, &timeout) && timeout.Timeout():
		return outcome{silent, ""}
	}
	return outcome{unsent, err.Error()}
}

func probeEcho(ctx context.Context, node *Node, addr netip.Addr) outcome {
	p, err := node.ns.NewPinger()
	if err != nil {
		return outcome{unsent, err.Error()}
	}
	defer func() { _ = p.Close() }() // it returns nil
	p.Follow(ctx)
	if err := p.Send(addr, netns.PingOptions{Seq: 1, Size: 56}); err != nil {
		return outcome{unsent, err.Error()}
	}
	r, err := p.Receive(ctx)
	switch {
	case err != nil:
		return outcome{silent, ""}
	case r.Type != wire.ICMPEchoReply:
		return outcome{refused, fmt.Sprintf("%s, from %s", netns.UnreachableText(r.Type, r.Code), r.From)}
	}
	return outcome{answered, fmt.Sprintf("echo reply, ttl %d", r.TTL)}
}

// probeUDP sends a datagram, a query where a name server may listen, and waits for any that comes back.
func probeUDP(ctx context.Context, node *Node, to netip.AddrPort) outcome {
	if to.Port() == 53 {
		q := dns.Question{Name: ".", Type: dns.TypeA, Timeout: probeTimeout}
		if _, err := dns.Query(ctx, node.ns.Dial, to, q); err != nil {
			return outcomeOf(err)
		}
		return outcome{answered, "a reply of a name server"}
	}
	conn, err := node.Dial(ctx, "udp", to.String())
	if err != nil {
		return outcomeOf(err)
	}
	defer func() { _ = conn.Close() }() // nothing is lost with it
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write([]byte("\n")); err != nil {
		return outcomeOf(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		if ctx.Err() != nil {
			return outcome{silent, ""}
		}
		return outcomeOf(err)
	}
	return outcome{answered, "a datagram"}
}

func judgeLookup(ctx context.Context, node *Node, q topology.Lookup) string {
	addrs, err := node.ns.LookupHost(ctx, q.Name)
	got := "no address"
	if len(addrs) > 0 {
		got = joinAddrs(addrs)
	} else if err != nil && !errors.Is(err, dns.ErrNotFound) {
		got = "an error: " + err.Error()
	}
	bad := func(want string) string {
		return fmt.Sprintf("expected %s to resolve to %s in %s, got %s", strconv.Quote(q.Name), want, node.name, got)
	}
	switch {
	case q.None && (len(addrs) > 0 || err != nil && !errors.Is(err, dns.ErrNotFound)):
		return bad("no address")
	case q.Any && len(addrs) == 0:
		return bad("some address")
	case !q.None && !q.Any && joinAddrs(addrs) != joinAddrs(q.Want):
		return bad(joinAddrs(q.Want))
	}
	return ""
}

// joinAddrs lists addresses in their order.
func joinAddrs(addrs []netip.Addr) string {
	sorted := slices.Clone(addrs)
	slices.SortFunc(sorted, netip.Addr.Compare)
	var words []string
	for _, a := range slices.Compact(sorted) {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}
