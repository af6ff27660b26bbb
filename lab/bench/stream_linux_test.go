package bench

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/netns"
)

// BenchmarkStream sends one TCP stream the way of each row. Beside the rate it tells the processor time that a Gbit takes at both
// ends together, which on a machine that others use says more.
func BenchmarkStream(b *testing.B) {
	for _, way := range []struct {
		name  string
		build func(r *rig) (from, to *netns.Namespace)
		addr  netip.Addr
	}{
		{"bridge", (*rig).pair, containerAddr(1)},
		{"published", (*rig).publishing, hostIP},
		{"vxlan", (*rig).overlay, containerAddr(1)},
		{"mesh", (*rig).mesh, hostIP},
		{"vxlan-esp", (*rig).encrypted, containerAddr(1)},
		{"vxlan-udp", (*rig).overUDP, containerAddr(1)},
	} {
		b.Run(way.name, func(b *testing.B) {
			r := newRig(context.Background())
			from, to := way.build(r)
			b.ReportAllocs()
			if err := r.use(func() error { return streams(b, r, from, to, way.addr) }); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// streams sends one stream after the other, and reports what they took.
func streams(b *testing.B, r *rig, from, to *netns.Namespace, addr netip.Addr) error {
	const each = 250 * time.Millisecond
	gbit, begin := 0.0, processorTime(b)
	for b.Loop() {
		v, err := stream(r.ctx, from, to, addr, 1, each)
		if err != nil {
			return err
		}
		gbit += v * each.Seconds()
	}
	b.ReportMetric(gbit/float64(b.N)/each.Seconds(), "Gbit/s")
	b.ReportMetric(1e3*(processorTime(b)-begin).Seconds()/gbit, "cpu-ms/Gbit")
	return nil
}

// processorTime is what the process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
