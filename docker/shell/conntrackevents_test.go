package shell

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// conntrack -E shows connections as they come, are answered and go.
func TestConntrackEvents(t *testing.T) {
	b := newBench(t)
	b.run(b.host, "iptables -A FORWARD -j ACCEPT; conntrack -F")
	// What causes events is done until one was seen, for it cannot be told when conntrack begins to listen.
	until := func(listen, cause string) string {
		return "rm -f /tmp/seen; " + listen + " | head -1 > /tmp/seen & while ! [ -s /tmp/seen ]; do " + cause + " > /dev/null 2>&1; sleep 0.01; done; cat /tmp/seen"
	}
	ping := "conntrack -F; ip netns exec 1-abc ping -c 1 192.168.56.1"
	b.expect(b.host, until("conntrack -E -p icmp -e NEW", ping), "    [NEW] icmp     1 # src=172.17.0.2 dst=192.168.56.1 type=8 code=0 id=# [UNREPLIED] src=192.168.56.1 ***", 0)
	b.expect(b.host, until("conntrack -E -e UPDATE", ping), " [UPDATE] icmp     1 # src=172.17.0.2 dst=192.168.56.1 type=8 code=0 id=# src=192.168.56.1 ***", 0)
	b.expect(b.host, until("conntrack -E -e DESTROY", ping), "[DESTROY] icmp     1 src=172.17.0.2 dst=192.168.56.1 type=8 ***", 0)
	b.expect(b.host, until("conntrack -E -e NEW,DESTROY -s 172.17.0.2", ping), "*icmp     1 *src=172.17.0.2 ***", 0)
	b.expect(b.host, "conntrack -E -b 0", "conntrack: v1.4.3 (conntrack-tools): invalid argument: '0': out of range: 1 <= value <= #", 2)
}

// gateWriter blocks what is written until it is opened, and tells when that begins.
type gateWriter struct {
	once          sync.Once
	blocked, open chan struct{}
	text          strings.Builder
}

func (g *gateWriter) Write(p []byte) (int, error) {
	g.once.Do(func() { close(g.blocked) })
	<-g.open
	return g.text.Write(p)
}

// A conntrack -E that is read too slowly says that it loses events, and goes on.
func TestConntrackEventsOverrun(t *testing.T) {
	b := newBench(t)
	b.run(b.host, "iptables -A OUTPUT -j ACCEPT")
	nf := b.host.NS.Netfilter()
	out, errOut := &gateWriter{blocked: make(chan struct{}), open: make(chan struct{})}, &gateWriter{blocked: make(chan struct{}), open: make(chan struct{})}
	close(errOut.open)
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = Run(ctx, b.host, "conntrack -E -b 1000", Stdio{Out: out, Err: errOut}) })
	connect := func(port int) {
		conn, err := b.host.NS.Dial(b.ctx, "udp", fmt.Sprintf("172.17.0.2:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("x"))
	}
	port := 1000
	for waiting := true; waiting; port++ { // until it listens, and stands
		connect(port)
		select {
		case <-out.blocked:
			waiting = false
		default:
		}
	}
	for n := nf.Count(); nf.Count() < n+50; port++ {
		connect(port)
	}
	close(out.open)
	<-errOut.blocked // the warning
	cancel()
	wg.Wait()
	if !strings.HasPrefix(errOut.text.String(), "WARNING: We have hit ENOBUFS! We are losing events.\n") || !strings.Contains(out.text.String(), "    [NEW] udp      17 ") {
		t.Errorf("%s%s", errOut.text.String(), out.text.String())
	}
}
