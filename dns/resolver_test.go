package dns

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mdns "github.com/miekg/dns"
)

// brief is a reply in one line: the code, and the data of the answers in order.
func brief(m *mdns.Msg) string {
	if m == nil {
		return "none"
	}
	var data []string
	for _, rr := range m.Answer {
		data = append(data, rdataText(rr))
	}
	slices.Sort(data)
	return strings.TrimSpace(mdns.RcodeToString[m.Rcode] + " " + strings.Join(data, " "))
}

func TestResolverAnswers(t *testing.T) {
	servers := fakeNet{upstreamAt(1): says(mdns.RcodeNameError)}
	r := labResolver(Config{Upstreams: []netip.AddrPort{upstreamAt(1)}, Dial: servers.dial})
	const a, aaaa, ptr = mdns.TypeA, mdns.TypeAAAA, mdns.TypePTR
	tests := []struct {
		name, ask string
		qtype     uint16
		want      string
	}{
		{"D7 container name", "c1", a, "NOERROR 172.18.0.2"},
		{"D7 short id", "053abaac4f93", a, "NOERROR 172.18.0.2"},
		{"D7 case", "C1", a, "NOERROR 172.18.0.2"},
		{"D8 name.network with dots", "c1.my.bridge", a, "NOERROR 172.18.0.2"},
		{"D8 service.network", "web.shopnet", a, "NOERROR 10.0.0.2"},
		{"D8 other network's", "web.my.bridge", a, "NOERROR 172.18.0.3"},
		{"D8 network case", "c1.MY.Bridge", a, "NOERROR 172.18.0.2"},
		{"D8 wrong network", "c1.shopnet", a, "NXDOMAIN"},
		{"D8 nothing before the dot", "\\.shopnet", a, "NXDOMAIN"},
		{"D9 service is its VIP", "web", a, "NOERROR 10.0.0.2"},
		{"D10 tasks", "tasks.web", a, "NOERROR 10.0.0.3 10.0.0.4"},
		{"D10 tasks on network", "tasks.web.shopnet", a, "NOERROR 10.0.0.3 10.0.0.4"},
		{"D10 S12 dnsrr", "rr", a, "NOERROR 10.0.0.3 10.0.0.4"},
		{"D11 task name", "web.2.q1w2e3r4t5y6u7i8o9p0asdfg", a, "NOERROR 10.0.0.4"},
		{"D11 task name on network", "web.2.q1w2e3r4t5y6u7i8o9p0asdfg.shopnet", a, "NOERROR 10.0.0.4"},
		{"D12 overlay before bridge, no merge", "web", a, "NOERROR 10.0.0.2"},
		{"D12 ingress has no names", "hidden", a, "NXDOMAIN"},
		{"D12 nor on ingress", "hidden.ingress", a, "NXDOMAIN"},
		{"D13 alias of two", "alias", a, "NOERROR 172.18.0.2 172.18.0.3"},
		{"D18 container", ReverseName(ip("172.18.0.3")), ptr, "NOERROR c2.my.bridge."},
		{"D18 task", ReverseName(ip("10.0.0.4")), ptr, "NOERROR web.2.q1w2e3r4t5y6u7i8o9p0asdfg.shopnet."},
		{"D18 v6", ReverseName(ip("fd00::6")), ptr, "NOERROR six.my.bridge."},
		{"D18 VIP is forwarded", ReverseName(ip("10.0.0.2")), ptr, "NXDOMAIN"},
		{"D18 ingress has no reverse", ReverseName(ip("10.255.0.3")), ptr, "NXDOMAIN"},
		{"D18 not an address", "x.in-addr.arpa", ptr, "NXDOMAIN"},
		{"D19 AAAA of v4 name", "c1", aaaa, "NOERROR"},
		{"D19 A of v6 name", "six", a, "NOERROR"},
		{"v6", "six", aaaa, "NOERROR fd00::6"},
		{"D19 MX of known name", "web", mdns.TypeMX, "NOERROR"},
		{"D19 TXT is forwarded", "web", mdns.TypeTXT, "NXDOMAIN"},
		{"D19 SRV is forwarded", "_http._tcp.web", mdns.TypeSRV, "NXDOMAIN"},
		{"D20 unknown is forwarded", "www.example.com", a, "NXDOMAIN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := ask(tt.ask, tt.qtype)
			if got := brief(r.Answer(t.Context(), req)); got != tt.want {
				t.Errorf("Answer(%s) = %s; want %s", tt.ask, got, tt.want)
			}
			if got := brief(unpacked(t, r.HandlePacket(t.Context(), packed(t, req)))); got != tt.want {
				t.Errorf("HandlePacket(%s) = %s; want %s", tt.ask, got, tt.want)
			}
		})
	}
}

// D16: TTL 600; QR, RD copied, RA, no AA. The short way and the general one say the same, bit for bit.
func TestResolverShortWayIsTheSame(t *testing.T) {
	for _, name := range []string{"c1", "WEB.shopnet", "tasks.web", "alias", "six"} {
		for _, qtype := range []uint16{mdns.TypeA, mdns.TypeAAAA, mdns.TypeMX} {
			for _, rd := range []bool{true, false} {
				req := ask(name, qtype)
				req.RecursionDesired, req.CheckingDisabled = rd, !rd
				wire := packed(t, req)
				short, ok := labResolver(Config{}).answerNow(nil, wire, overUDP)
				general := labResolver(Config{}).answerLater(t.Context(), wire, overUDP)
				if !ok || !bytes.Equal(short, general) {
					t.Fatalf("%s %d:\nshort   %x\ngeneral %x", name, qtype, short, general)
				}
				m := unpacked(t, short)
				if !m.Response || m.RecursionDesired != rd || !m.RecursionAvailable || m.Authoritative || m.Id != req.Id {
					t.Errorf("header of %s = %+v", name, m.MsgHdr)
				}
				for _, rr := range m.Answer {
					if rr.Header().Ttl != 600 {
						t.Errorf("TTL = %d; want 600", rr.Header().Ttl)
					}
				}
			}
		}
	}
}

// D17: every order comes up about as often, and each answer has all addresses.
func TestResolverShuffles(t *testing.T) {
	zone := NewSharedZone("n")
	for i := range 3 {
		zone.Add(fmt.Sprint(i), "rr", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	r := labResolver(Config{})
	r.cfg.Networks = func() []NetworkZone { return []NetworkZone{{Zone: zone}} }
	const n = 6000
	orders := map[string]int{}
	wire := packed(t, ask("rr", mdns.TypeA))
	for range n {
		orders[fmt.Sprint(replyAddrs(unpacked(t, r.HandlePacket(t.Context(), wire))))]++
	}
	if len(orders) != 6 {
		t.Fatalf("orders = %v; want all 6", orders)
	}
	for order, count := range orders {
		if count < n/6-150 || count > n/6+150 {
			t.Errorf("order %s came %d times of %d", order, count, n)
		}
	}
}

func replyAddrs(m *mdns.Msg) []netip.Addr { return (&Reply{msg: m}).Addrs() }

func TestResolverForwards(t *testing.T) {
	late := func(req *mdns.Msg, _ string) *mdns.Msg {
		wrong := newReply(req)
		wrong.Id++
		return wrong
	}
	servers := fakeNet{
		upstreamAt(1): says(mdns.RcodeSuccess), upstreamAt(2): says(mdns.RcodeNameError),
		upstreamAt(3): says(mdns.RcodeServerFailure), upstreamAt(4): says(mdns.RcodeRefused),
		upstreamAt(5): silent, upstreamAt(6): late,
	}
	tests := []struct {
		name      string
		upstreams []int
		want      string
		after     time.Duration
	}{
		{"D20 first answers", []int{1, 2}, "NOERROR 198.51.100.7", 0},
		{"D20 NXDOMAIN is an answer", []int{2, 1}, "NXDOMAIN", 0},
		{"D20 SERVFAIL goes on", []int{3, 1}, "NOERROR 198.51.100.7", 0},
		{"D20 REFUSED goes on", []int{4, 1}, "NOERROR 198.51.100.7", 0},
		{"D20 silence goes on after 4 s", []int{5, 1}, "NOERROR 198.51.100.7", 4 * time.Second},
		{"D20 wrong replies are silence", []int{6, 1}, "NOERROR 198.51.100.7", 4 * time.Second},
		{"D20 unreachable goes on", []int{9, 1}, "NOERROR 198.51.100.7", 0},
		{"D20 at most three", []int{3, 4, 9, 1}, "SERVFAIL", 0},
		{"D20 all silent", []int{5, 5, 5}, "SERVFAIL", 12 * time.Second},
		{"D20 E17 no upstream", nil, "SERVFAIL", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var upstreams []netip.AddrPort
				for _, n := range tt.upstreams {
					upstreams = append(upstreams, upstreamAt(n))
				}
				r := labResolver(Config{Upstreams: upstreams, Dial: servers.dial})
				start := time.Now()
				got := brief(r.Answer(t.Context(), ask("www.example.com", mdns.TypeA)))
				if after := time.Since(start); got != tt.want || after != tt.after {
					t.Errorf("Answer = %s after %v; want %s after %v", got, after, tt.want, tt.after)
				}
			})
		})
	}
}

// D22: one query more than may wait is refused, at once, while known names are still answered.
func TestResolverRefusesTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := fakeNet{upstreamAt(1): silent}
		r := labResolver(Config{Upstreams: []netip.AddrPort{upstreamAt(1)}, Dial: servers.dial})
		for range defaultMaxForwards {
			go r.Answer(t.Context(), ask("slow", mdns.TypeA))
		}
		synctest.Wait()
		start := time.Now()
		if got := brief(r.Answer(t.Context(), ask("one.more", mdns.TypeA))); got != "REFUSED" {
			t.Errorf("Answer = %s; want REFUSED", got)
		}
		if got := brief(r.Answer(t.Context(), ask("c1", mdns.TypeA))); got != "NOERROR 172.18.0.2" {
			t.Errorf("Answer of known name = %s", got)
		}
		if time.Since(start) != 0 {
			t.Errorf("waited %v", time.Since(start))
		}
		time.Sleep(defaultTimeout)
		synctest.Wait()
		want := Stats{Local: 1, Failed: defaultMaxForwards, Refused: 1}
		if got := r.Stats(); got != want {
			t.Errorf("Stats = %+v; want %+v", got, want)
		}
	})
}

func TestResolverNdots(t *testing.T) { // D21
	servers := fakeNet{upstreamAt(1): says(mdns.RcodeNameError)}
	r := labResolver(Config{Upstreams: []netip.AddrPort{upstreamAt(1)}, Dial: servers.dial, NdotsSet: true})
	for name, want := range map[string]string{"nope": "NOERROR", "no.pe": "NXDOMAIN", "c1": "NOERROR 172.18.0.2"} {
		if got := brief(r.Answer(t.Context(), ask(name, mdns.TypeA))); got != want {
			t.Errorf("Answer(%s) = %s; want %s", name, got, want)
		}
	}
}

// D23: what does not fit is cut to whole records with TC set, over UDP.
func TestResolverTruncates(t *testing.T) {
	zone := NewSharedZone("n")
	for i := range 5000 {
		zone.Add(fmt.Sprint(i), "many", netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	r := New(Config{Networks: func() []NetworkZone { return []NetworkZone{{Zone: zone}} }})
	const question = headerLen + 6 + 4
	tests := []struct {
		name    string
		edns    uint16
		t       transport
		answers int
		tc      bool
	}{
		{"D23 512 without EDNS", 0, overUDP, (512 - question) / 16, true},
		{"D23 EDNS size", 4096, overUDP, (4096 - question) / 16, true},
		{"D23 EDNS size below 512", 100, overUDP, (512 - question) / 16, true},
		{"D23 TCP up to 64 KB", 0, overTCP, (65535 - question) / 16, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := ask("many", mdns.TypeA)
			if tt.edns != 0 {
				req.SetEdns0(tt.edns, false)
			}
			wire := packed(t, req)
			short, ok := r.answerNow(nil, wire, tt.t)
			if !ok {
				t.Fatal("no short way")
			}
			for _, reply := range [][]byte{short, r.answerLater(t.Context(), wire, tt.t)} {
				m := unpacked(t, reply)
				if len(m.Answer) != tt.answers || m.Truncated != tt.tc || len(m.Extra) != 0 {
					t.Errorf("%d answers, TC %v, %d extra; want %d, %v, 0", len(m.Answer), m.Truncated, len(m.Extra), tt.answers, tt.tc)
				}
			}
		})
	}
}

func TestHandlePacketOdd(t *testing.T) {
	r := labResolver(Config{})
	query := packed(t, ask("c1", mdns.TypeA))
	with := func(change func(m *mdns.Msg)) []byte {
		m := ask("c1", mdns.TypeA)
		change(m)
		return packed(t, m)
	}
	tests := []struct {
		name string
		msg  []byte
		want string
	}{
		{"empty", nil, "none"},
		{"short", query[:11], "none"},
		{"a reply", with(func(m *mdns.Msg) { m.Response = true }), "none"},
		{"a malformed reply", with(func(m *mdns.Msg) { m.Response = true })[:15], "none"},
		{"cut in the question", query[:15], "FORMERR"},
		{"no question", with(func(m *mdns.Msg) { m.Question = nil }), "FORMERR"},
		{"two questions", with(func(m *mdns.Msg) { m.Question = append(m.Question, m.Question[0]) }), "FORMERR"},
		{"NOTIFY", with(func(m *mdns.Msg) { m.Opcode = mdns.OpcodeNotify }), "NOTIMP"},
		{"class CHAOS is not ours", with(func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS }), "SERVFAIL"},
		{"EDNS options", with(func(m *mdns.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []mdns.EDNS0{&mdns.EDNS0_COOKIE{Code: mdns.EDNS0COOKIE, Cookie: "0102030405060708"}}
		}), "NOERROR 172.18.0.2"},
		{"name in need of escapes", with(func(m *mdns.Msg) { m.Question[0].Name = `c\.1.` }), "SERVFAIL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := "none"
			if reply := r.HandlePacket(context.Background(), tt.msg); reply != nil {
				m := unpacked(t, reply)
				got = brief(m)
				if m.Id != uint16(tt.msg[0])<<8|uint16(tt.msg[1]) || !m.Response {
					t.Errorf("header = %+v", m.MsgHdr)
				}
			}
			if got != tt.want {
				t.Errorf("HandlePacket = %s; want %s", got, tt.want)
			}
		})
	}
}

// A network's name with no form on the wire is a SERVFAIL and not a silence.
func TestResolverUnpackableName(t *testing.T) {
	zone := NewSharedZone(strings.Repeat("x", 70))
	zone.AddReverse("a", ip("10.0.0.1"), "c1")
	r := New(Config{Networks: func() []NetworkZone { return []NetworkZone{{Zone: zone}} }})
	got := brief(unpacked(t, r.HandlePacket(t.Context(), packed(t, ask(ReverseName(ip("10.0.0.1")), mdns.TypePTR)))))
	if got != "SERVFAIL" {
		t.Errorf("HandlePacket = %s; want SERVFAIL", got)
	}
}

func TestResolverSetUpstreams(t *testing.T) { // D6: a container may get a way out later
	servers := fakeNet{upstreamAt(1): says(mdns.RcodeSuccess)}
	r := labResolver(Config{Dial: servers.dial})
	r.SetUpstreams([]netip.AddrPort{upstreamAt(1)})
	if got := brief(r.Answer(t.Context(), ask("www.example.com", mdns.TypeA))); got != "NOERROR 198.51.100.7" {
		t.Errorf("Answer = %s", got)
	}
	if got := r.Answer(t.Context(), nil); got != nil {
		t.Errorf("Answer(nil) = %v", got)
	}
}
