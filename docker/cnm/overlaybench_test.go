package cnm_test

import (
	"io"
	"testing"
)

// BenchmarkOverlayTCP is a stream between containers on two hosts: veth, bridge, VXLAN, the underlay and back, and with a
// service its load balancing and address translation on top.
func BenchmarkOverlayTCP(b *testing.B) {
	l := newSwarmLab(b, 2)
	l.network("overnet")
	l.service(serviceSpec{Name: "sink", Networks: overlays("overnet"), Host: "host-b"})
	c := l.attach(l.hosts[0], "c", "overnet")
	ln, err := l.task("sink.1").NS().Listen("tcp", ":9000")
	l.must(err)
	l.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			io.Copy(io.Discard, conn) //nolint:errcheck // it ends with the benchmark
			conn.Close()
		}
	})
	for name, address := range map[string]string{"task": "10.0.0.3:9000", "vip": "10.0.0.2:9000"} {
		b.Run(name, func(b *testing.B) {
			conn, err := c.NS().Dial(l.ctx, "tcp", address)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			buf := make([]byte, 128<<10)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
