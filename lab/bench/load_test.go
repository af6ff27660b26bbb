package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/dns"
)

func TestCheckPattern(t *testing.T) {
	late := int64(whole + 12345)
	for _, c := range []struct {
		name string
		pos  int64
		harm func(b []byte) []byte
		want string
	}{
		{"as sent", 0, func(b []byte) []byte { return b }, ""},
		{"as sent, later", late, func(b []byte) []byte { return b }, ""},
		{"nothing", late, func([]byte) []byte { return nil }, ""},
		{"one bit", 100, func(b []byte) []byte { b[77] ^= 1; return b }, "byte 177 of the stream"},
		{"a wire frame is missing", late, func(b []byte) []byte { return slices.Delete(b, 3000, 4448) }, "of the stream"},
		{"two wire frames changed places", late, func(b []byte) []byte {
			return slices.Concat(b[:1448], b[2896:4344], b[1448:2896], b[4344:])
		}, "of the stream"},
		{"a wire frame of zeros", late, func(b []byte) []byte { clear(b[1448:2896]); return b }, "of the stream"},
		{"the end", late, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "of the stream"},
	} {
		err := checkPattern(c.harm(bytes.Clone(at(c.pos, 60000))), c.pos)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: checkPattern = %v; want %q", c.name, err, c.want)
		}
	}
}

// BenchmarkCheckPattern is what the check costs for each byte that a stream carries.
func BenchmarkCheckPattern(b *testing.B) {
	buf := bytes.Clone(at(whole, chunk))
	b.SetBytes(chunk)
	b.ReportAllocs()
	for b.Loop() {
		if err := checkPattern(buf, whole); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDatagram(t *testing.T) {
	good := make([]byte, datagramLen)
	putDatagram(good, 300)
	huge := bytes.Clone(good)
	binary.BigEndian.PutUint64(huge, 1<<63)
	bad := bytes.Clone(good)
	bad[12] ^= 4
	for _, c := range []struct {
		name string
		in   []byte
		want acknowledgement
	}{
		{"as sent", good, acknowledgement{received: 1, next: 301}},
		{"other bytes", bad, acknowledgement{bad: 1}},
		{"cut", good[:17], acknowledgement{bad: 1}},
		{"a number that nobody sent", huge, acknowledgement{bad: 1}},
	} {
		var a acknowledgement
		a.take(c.in)
		if a != c.want {
			t.Errorf("%s: took %+v; want %+v", c.name, a, c.want)
		}
		b := make([]byte, datagramLen)
		a.put(b)
		if back, err := parseAck(b); back != a || err != nil {
			t.Errorf("%s: parseAck = %+v, %v; want %+v", c.name, back, err, a)
		}
	}
	if _, err := parseAck(nil); err == nil {
		t.Error("parseAck takes what is too short")
	}
}

// The generators work over the machine's own loopback as they do over a namespace.
func TestExchanges(t *testing.T) {
	for _, name := range []string{"small", "round-trips"} {
		x := exchanges[name]
		at := &loopback{}
		drive := func(ctx context.Context, from sockets, _ string, d time.Duration) (figures, error) {
			return x.drive(ctx, from, at.pc.LocalAddr().String(), d)
		}
		f, err := exchange{x.serve, drive}.run(t.Context(), machine{}, at, "", 20*time.Millisecond)
		if f.Value <= 0 || err != nil {
			t.Errorf("%s = %+v, %v; want a figure", name, f, err)
		}
	}
}

// loopback listens on a port that is free.
type loopback struct {
	machine
	pc net.PacketConn
}

func (l *loopback) ListenPacket(string, string) (net.PacketConn, error) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	l.pc = pc
	return pc, err
}

// A server that cannot listen ends the exchange.
func TestExchangeWithoutServer(t *testing.T) {
	broken := errors.New("no socket")
	x := exchange{serve: func(context.Context, sockets, func()) error { return broken }}
	if _, err := x.run(t.Context(), machine{}, machine{}, "", time.Second); !errors.Is(err, broken) {
		t.Errorf("run = %v; want %v", err, broken)
	}
}

// Queries are such that a resolver answers them, and its answers are told from others.
func TestQueries(t *testing.T) {
	zone := dns.NewSharedZone("net")
	for i := range names {
		zone.Add("test", hostName(i), hostAddr(i))
	}
	r := dns.New(dns.Config{Networks: func() []dns.NetworkZone { return []dns.NetworkZone{{Zone: zone}} }, Rand: rand.New(rand.NewPCG(1, 1))})
	for _, i := range []int{0, 7, 999} {
		reply := r.HandlePacket(t.Context(), queryFor(i))
		if err := checkAnswer(reply, i); err != nil {
			t.Error(err)
		}
		if err := checkAnswer(reply, i+1); err == nil {
			t.Errorf("the answer for %s passes for that of the next name", hostName(i))
		}
		if err := checkAnswer(queryFor(i), i); err == nil {
			t.Errorf("the query for %s passes for its answer", hostName(i))
		}
	}
}

func FuzzCheckAnswer(f *testing.F) {
	f.Add(queryFor(1), 1)
	f.Fuzz(func(_ *testing.T, b []byte, i int) {
		checkAnswer(b, i) //nolint:errcheck // it must not panic
	})
}

func TestReportOfIperf(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     float64
		fails    bool
	}{
		{"received", `{"end":{"sum_received":{"bits_per_second":15e9}}}`, 15, false},
		{"an error of its own", `{"error":"unable to connect"}`, 0, true},
		{"nothing received", `{"end":{}}`, 0, true},
		{"not JSON", `iperf3: oops`, 0, true},
	} {
		got, err := received([]byte(c.in))
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: received = %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}
