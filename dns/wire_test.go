package dns

import (
	"bytes"
	"context"
	"net/netip"
	"testing"

	mdns "github.com/miekg/dns"
)

// serverAt is port 53 of that address.
func serverAt(s string) netip.AddrPort { return netip.AddrPortFrom(ip(s), 53) }

// FuzzHandlePacket: no message makes the resolver panic; each reply can be read, has the query's id and fits; what the
// short way answers, the general way answers the same.
func FuzzHandlePacket(f *testing.F) {
	for _, m := range []*mdns.Msg{
		ask("c1", mdns.TypeA), ask("tasks.web.shopnet", mdns.TypeA), ask("six", mdns.TypeAAAA), ask("web", mdns.TypeMX),
		ask(ReverseName(ip("172.18.0.3")), mdns.TypePTR), ask("x.example", mdns.TypeTXT), ask("alias", mdns.TypeA).SetEdns0(4096, true),
	} {
		f.Add(packed(f, m))
	}
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	static := NewStatic(StaticConfig{CloudDomain: "x", Names: map[string][]netip.Addr{"c1": ips("192.0.2.1")}})
	f.Fuzz(func(t *testing.T, msg []byte) {
		ctx := context.Background()
		for _, reply := range [][]byte{labResolver(Config{}).HandlePacket(ctx, msg), static.HandlePacket(ctx, msg)} {
			if reply == nil {
				continue
			}
			if m := unpacked(t, reply); !m.Response || !bytes.Equal(reply[:2], msg[:2]) || len(reply) > maxUDPSize {
				t.Errorf("reply %x to %x", reply, msg)
			}
		}
		short, ok := labResolver(Config{}).answerNow(nil, msg, overUDP)
		if !ok {
			return
		}
		general := labResolver(Config{}).answerLater(ctx, msg, overUDP)
		if !bytes.Equal(short, general) {
			t.Errorf("query %x:\nshort   %x\ngeneral %x", msg, short, general)
		}
	})
}

// FuzzParseResolvConf: what is parsed and printed parses to the same.
func FuzzParseResolvConf(f *testing.F) {
	f.Add("search a b\nnameserver 127.0.0.11\noptions ndots:0\n", "web")
	f.Fuzz(func(t *testing.T, text, name string) {
		once := ParseResolvConf(text).String()
		if twice := ParseResolvConf(once).String(); once != twice {
			t.Errorf("%q became %q", once, twice)
		}
		ParseResolvConf(text).Candidates(name)
		hosts := ParseHosts(text).String()
		if again := ParseHosts(hosts).String(); hosts != again {
			t.Errorf("%q became %q", hosts, again)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	r, req := labResolver(Config{}), ask("tasks.web", mdns.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		r.Answer(b.Context(), req)
	}
}

func BenchmarkHandlePacket(b *testing.B) {
	for _, bench := range []struct {
		name  string
		query *mdns.Msg
	}{
		{"A", ask("web.shopnet", mdns.TypeA)},
		{"A of two", ask("tasks.web", mdns.TypeA)},
		{"PTR", ask(ReverseName(ip("10.0.0.3")), mdns.TypePTR)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r, wire := labResolver(Config{}), packed(b, bench.query)
			b.ReportAllocs()
			for b.Loop() {
				r.HandlePacket(b.Context(), wire)
			}
		})
	}
}

// BenchmarkAnswerNow is what the server loop does for a known name.
func BenchmarkAnswerNow(b *testing.B) {
	r, wire := labResolver(Config{}), packed(b, ask("tasks.web", mdns.TypeA))
	out := make([]byte, 0, minUDPSize)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		out := append([]byte(nil), out[:cap(out)]...)
		for pb.Next() {
			r.answerNow(out[:0], wire, overUDP)
		}
	})
}

// BenchmarkServe is queries and answers over loopback UDP, one at a time.
func BenchmarkServe(b *testing.B) {
	addr := start(b, labResolver(Config{}))
	conn, err := dialer(b.Context(), "udp", addr.String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	wire, buf := packed(b, ask("web", mdns.TypeA)), make([]byte, minUDPSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(wire); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
