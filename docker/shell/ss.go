package shell

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/netns"
)

func portText(p uint16) string { return strconv.Itoa(int(p)) }

// socketFilter is what ss and netstat were asked for.
type socketFilter struct{ tcp, udp, listening, all bool }

func newSocketFilter(opts options) socketFilter {
	f := socketFilter{tcp: opts.has("t", "tcp"), udp: opts.has("u", "udp"), listening: opts.has("l", "listening"), all: opts.has("a", "all")}
	if !f.tcp && !f.udp {
		f.tcp, f.udp = true, true
	}
	return f
}

func (f socketFilter) matches(s netns.Socket) bool {
	waiting := s.State == "LISTEN" || s.State == ""
	return (s.Proto == "tcp" && f.tcp || s.Proto == "udp" && f.udp) && (f.all || waiting == f.listening)
}

// ssStates are the states that ss has other words for than netstat.
var ssStates = map[string]string{"": "UNCONN", "ESTABLISHED": "ESTAB", "FIN_WAIT1": "FIN-WAIT-1", "FIN_WAIT2": "FIN-WAIT-2"}

// ssState is a state in the words of ss.
func ssState(state string) string {
	if s, ok := ssStates[state]; ok {
		return s
	}
	return strings.ReplaceAll(state, "_", "-")
}

// listenBacklog is what ss shows as the send queue of a listener.
const listenBacklog = 128

// runSs is ss with -l -t -u -a -n -p.
func runSs(_ context.Context, c *Call) int {
	opts, _, err := getopt(c.Args[1:], "l t u a n p 4 s o e i m tcp udp listening all numeric processes")
	if err != nil {
		return c.badOption(err)
	}
	f := newSocketFilter(opts)
	both, proto := f.tcp && f.udp, ""
	if both {
		proto = fmt.Sprintf("%-6s", "Netid")
	}
	c.Printf("%s%-11s%-7s%-7s%21s   %21s\n", proto, "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port")
	for _, s := range c.Sys.NS.Sockets() {
		if !f.matches(s) {
			continue
		}
		if both {
			proto = fmt.Sprintf("%-6s", s.Proto)
		}
		send := s.SendQ
		if s.State == "LISTEN" {
			send = listenBacklog
		}
		c.Printf("%s%-11s%-7d%-7d%21s   %21s\n", proto, ssState(s.State), s.RecvQ, send, starred(s.Local), starred(s.Remote))
	}
	return 0
}

// starred prints an address as old ss does: any is a star.
func starred(a netip.AddrPort) string {
	host, port := a.Addr().String(), portText(a.Port())
	if a.Addr().IsUnspecified() {
		host = "*"
	}
	if a.Port() == 0 {
		port = "*"
	}
	return host + ":" + port
}

// runNetstat is netstat with -l -t -u -a -n -p, -r and -i.
func runNetstat(ctx context.Context, c *Call) int {
	opts, _, err := getopt(c.Args[1:], "l t u a n p r i 4 w e o tcp udp listening all numeric program")
	if err != nil {
		return c.badOption(err)
	}
	if opts.has("r") {
		return c.Exec(ctx, []string{"route", "-n"})
	}
	if opts.has("i") {
		return c.netstatInterfaces()
	}
	f := newSocketFilter(opts)
	title := "(w/o servers)"
	switch {
	case f.all:
		title = "(servers and established)"
	case f.listening:
		title = "(only servers)"
	}
	program, programTitle := "", ""
	if opts.has("p", "program") {
		program, programTitle = "-", "PID/Program name"
	}
	c.Printf("Active Internet connections %s\n", title)
	c.Printf("%s\n", strings.TrimRight(fmt.Sprintf("Proto Recv-Q Send-Q %-23s %-23s %-11s %s", "Local Address", "Foreign Address", "State", programTitle), " "))
	for _, s := range c.Sys.NS.Sockets() {
		if !f.matches(s) {
			continue
		}
		remote := starred(s.Remote)
		if s.Remote.Addr().IsUnspecified() {
			remote = "0.0.0.0:*"
		}
		c.Printf("%s\n", strings.TrimRight(fmt.Sprintf("%-5s %6d %6d %-23s %-23s %-11s %s", s.Proto, s.RecvQ, s.SendQ, s.Local, remote, s.State, program), " "))
	}
	return 0
}
