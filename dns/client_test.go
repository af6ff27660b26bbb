package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	mdns "github.com/miekg/dns"
)

// names is a server that knows these names, all others are NXDOMAIN.
func names(known map[string]string) func(*mdns.Msg, string) *mdns.Msg {
	return func(req *mdns.Msg, _ string) *mdns.Msg {
		q := req.Question[0]
		addr, ok := known[lowerName(q.Name)]
		if !ok {
			return newFailure(req, mdns.RcodeNameError)
		}
		resp := newReply(req)
		resp.Answer = addrRecords(q, ips(addr), 60, 0)
		return resp
	}
}

func TestClientLookup(t *testing.T) {
	servers := fakeNet{
		upstreamAt(1): names(map[string]string{"web": "10.0.0.2", "db.corp.example": "10.0.0.7", "a.b": "10.0.0.8", "six": "fd00::6"}),
		upstreamAt(2): says(mdns.RcodeServerFailure),
		upstreamAt(3): silent,
	}
	hosts := ParseHosts("127.0.0.1 localhost\n::1 localhost\n172.18.0.2 053abaac4f93 # me\n")
	conf := func(text string) ResolvConf { return ParseResolvConf(text) }
	one := "nameserver 192.0.2.1\nsearch corp.example\n"
	tests := []struct {
		name, conf, network, ask string
		want                     []netip.Addr
		kind                     error
		after                    time.Duration
	}{
		{"literal", one, "ip", "10.1.1.1", ips("10.1.1.1"), nil, 0},
		{"literal of the other family", one, "ip6", "10.1.1.1", nil, ErrNotFound, 0},
		{"hosts first", one, "ip4", "053ABAAC4F93", ips("172.18.0.2"), nil, 0},
		{"hosts, both families", one, "ip", "localhost", ips("127.0.0.1", "::1"), nil, 0},
		{"name as it is", one, "ip", "web.", ips("10.0.0.2"), nil, 0},
		{"v6 only", one, "ip", "six.", ips("fd00::6"), nil, 0},
		{"search list", one, "ip", "db", ips("10.0.0.7"), nil, 0},
		{"D3 ndots:0, then search list", one + "options ndots:0", "ip", "db", ips("10.0.0.7"), nil, 0},
		{"enough dots", one, "ip", "a.b", ips("10.0.0.8"), nil, 0},
		{"not found", one, "ip", "nope", nil, ErrNotFound, 0},
		{"no such record", one, "ip6", "web.", nil, ErrNotFound, 0},
		{"next server after SERVFAIL", "nameserver 192.0.2.2\n" + one, "ip", "web.", ips("10.0.0.2"), nil, 0},
		{"next server after 5 s", "nameserver 192.0.2.3\n" + one, "ip4", "web.", ips("10.0.0.2"), nil, 5 * time.Second},
		{"timeout option", "nameserver 192.0.2.3\noptions timeout:1\n" + one, "ip4", "web.", ips("10.0.0.2"), nil, time.Second},
		{"silence, twice 5 s", "nameserver 192.0.2.3", "ip4", "web.", nil, ErrTemporary, 10 * time.Second},
		{"attempts option", "nameserver 192.0.2.3\noptions attempts:3", "ip4", "web.", nil, ErrTemporary, 15 * time.Second},
		{"SERVFAIL", "nameserver 192.0.2.2", "ip4", "web", nil, ErrTemporary, 0},
		{"unreachable, and no nameserver line", "", "ip4", "web", nil, ErrTemporary, 0},
		{"empty name", one, "ip", "", nil, ErrNotFound, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := NewClient(ClientConfig{
					Dial: servers.dial, Hosts: func() *Hosts { return hosts }, Resolv: func() ResolvConf { return conf(tt.conf) },
				})
				start := time.Now()
				got, err := c.LookupNetIP(t.Context(), tt.network, tt.ask)
				if !slices.Equal(got, tt.want) || !errors.Is(err, tt.kind) || time.Since(start) != tt.after {
					t.Errorf("LookupNetIP = %v, %v after %v; want %v, %v after %v", got, err, time.Since(start), tt.want, tt.kind, tt.after)
				}
				checkLookupError(t, err, tt.ask)
			})
		})
	}
}

// checkLookupError checks that err, if any, is a *net.DNSError that agrees with itself.
func checkLookupError(t *testing.T, err error, name string) {
	t.Helper()
	if err == nil {
		return
	}
	var lookup *net.DNSError
	if !errors.As(err, &lookup) {
		t.Fatalf("error %v is no *net.DNSError", err)
	}
	if lookup.IsNotFound != errors.Is(err, ErrNotFound) || lookup.IsTemporary != errors.Is(err, ErrTemporary) {
		t.Errorf("flags of %+v disagree with its cause", lookup)
	}
	if lookup.Name != name && lookup.Name+"." != name {
		t.Errorf("error names %q; want %q", lookup.Name, name)
	}
}

func TestClientLookupAddr(t *testing.T) { // D24
	addr := start(t, labResolver(Config{}))
	c := NewClient(ClientConfig{
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer(ctx, network, addr.String())
		},
		Hosts: func() *Hosts { return ParseHosts("172.18.0.2 053abaac4f93") },
	})
	tests := []struct {
		addr netip.Addr
		want string
		kind error
	}{
		{ip("172.18.0.3"), "c2.my.bridge", nil},
		{ip("::ffff:172.18.0.3"), "c2.my.bridge", nil},
		{ip("172.18.0.2"), "053abaac4f93", nil},
		{ip("172.18.0.99"), "", ErrTemporary}, // forwarded, and there is no upstream
	}
	for _, tt := range tests {
		if got, err := c.LookupAddr(t.Context(), tt.addr); got != tt.want || !errors.Is(err, tt.kind) {
			t.Errorf("LookupAddr(%v) = %q, %v; want %q, %v", tt.addr, got, err, tt.want, tt.kind)
		}
	}
	if reply, err := c.Query(t.Context(), "c2", TypeA); err != nil || !slices.Equal(reply.Addrs(), ips("172.18.0.3")) {
		t.Errorf("Query = %v, %v", reply, err)
	}
}

func TestClientCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := fakeNet{upstreamAt(1): silent}
		c := NewClient(ClientConfig{Dial: servers.dial, Resolv: func() ResolvConf { return ParseResolvConf("nameserver 192.0.2.1") }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.LookupHost(ctx, "web")
		if !errors.Is(err, ErrTemporary) || time.Since(start) != time.Second {
			t.Errorf("LookupHost = %v after %v; want ErrTemporary after 1s", err, time.Since(start))
		}
		var lookup *net.DNSError
		if errors.As(err, &lookup); lookup == nil || !lookup.IsTimeout {
			t.Errorf("error %#v is no timeout", err)
		}
	})
}

func TestLookup(t *testing.T) {
	servers := fakeNet{upstreamAt(1): names(map[string]string{"web": "10.0.0.2"}), upstreamAt(2): says(mdns.RcodeRefused)}
	tests := []struct {
		server int
		name   string
		qtype  Type
		want   []Record
		text   string
	}{
		{1, "web", TypeA, []Record{{"web.", 60, "IN", TypeA, "10.0.0.2"}}, ""},
		{1, "web", TypeAAAA, nil, "lookup web on 192.0.2.1:53: no such host"},
		{1, "foo", TypeA, nil, "lookup foo on 192.0.2.1:53: no such host"},
		{2, "foo", TypeA, nil, "lookup foo on 192.0.2.2:53: server misbehaves: REFUSED"},
		{9, "foo", TypeA, nil, "lookup foo on 192.0.2.9:53: reach dns server 192.0.2.9:53: network is unreachable"},
		{1, "a..b", TypeA, nil, "lookup a..b on 192.0.2.1:53: build dns query: dns: bad rdata"},
	}
	for _, tt := range tests {
		got, err := Lookup(t.Context(), servers.dial, upstreamAt(tt.server), tt.name, tt.qtype)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if !slices.Equal(got, tt.want) || text != tt.text {
			t.Errorf("Lookup(%s) = %v, %s; want %v, %s", tt.name, got, text, tt.want, tt.text)
		}
	}
	if _, err := Query(t.Context(), nil, upstreamAt(1), Question{Name: "x"}); !errors.Is(err, errNoDial) {
		t.Errorf("Query without dial = %v", err)
	}
	if _, err := NewClient(ClientConfig{}).LookupNetIP(t.Context(), "tcp", "x"); err == nil {
		t.Error("LookupNetIP took network tcp")
	}
}

func TestResolvConf(t *testing.T) {
	host := ParseResolvConf("# made by hand\nsearch eu-west-1.compute.internal\nnameserver 127.0.0.53\nnameserver 10.0.0.1 ; inside\n" +
		"nameserver nonsense\noptions timeout:2 attempts:1\noptions\n")
	const search = "search eu-west-1.compute.internal\n"
	tests := []struct {
		name, got, want string
	}{
		{"D3 embedded", host.ForEmbedded().String(), search + "nameserver 127.0.0.11\noptions timeout:2 attempts:1 ndots:0\n"},
		{"D3 ndots kept", ParseResolvConf("options ndots:5").ForEmbedded().String(), "nameserver 127.0.0.11\noptions ndots:5\n"},
		{"D2 loopback removed", host.ForDefaultBridge().String(), search + "nameserver 10.0.0.1\noptions timeout:2 attempts:1\n"},
		{"D2 nothing left", ParseResolvConf("nameserver ::1").ForDefaultBridge().String(), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"},
		{"domain", ParseResolvConf("domain a b").String(), "search a\n"},
		{"servers", fmt.Sprint(host.Servers()), "[127.0.0.53:53 10.0.0.1:53]"},
		{"no servers", fmt.Sprint(ResolvConf{}.Servers()), "[127.0.0.1:53]"},
		{"numbers", fmt.Sprint(host.Ndots(), host.Timeout(), host.Attempts()), "1 2s 1"},
		{"bounds", func() string {
			c := ParseResolvConf("options ndots:99 timeout:0 attempts:99 rotate")
			return fmt.Sprint(c.Ndots(), c.Timeout(), c.Attempts(), c.NdotsSet())
		}(), "15 1s 5 true"},
		{"D21 ndots:0 is not set", fmt.Sprint(host.ForEmbedded().NdotsSet(), host.NdotsSet()), "false false"},
		{"candidates", fmt.Sprint(host.Candidates("web"), host.Candidates("a.b"), host.Candidates("web.")),
			"[web.eu-west-1.compute.internal. web.] [a.b. a.b.eu-west-1.compute.internal.] [web.]"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %q; want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestContainerHosts(t *testing.T) { // D5
	h := ContainerHosts("053abaac4f93", ips("172.18.0.2", "10.0.0.3"), []HostsLine{{ip("192.0.2.1"), []string{"extra"}}})
	const want = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n" +
		"ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n172.18.0.2\t053abaac4f93\n10.0.0.3\t053abaac4f93\n192.0.2.1\textra\n"
	if got := h.String(); got != want {
		t.Errorf("ContainerHosts = %q; want %q", got, want)
	}
	if got := ParseHosts(want).String(); got != want {
		t.Errorf("ParseHosts(...).String() = %q; want %q", got, want)
	}
	var none *Hosts
	if _, ok := none.Name(ip("::1")); none.String() != "" || none.Addrs("x") != nil || ok {
		t.Error("a nil Hosts says something")
	}
}
