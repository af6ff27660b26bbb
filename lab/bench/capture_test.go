package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// overUDP is the overlay over real UDP, with both ends in this process.
func (r *rig) overUDP() (from, to *netns.Namespace) {
	var us [2]*vxlan.UDP
	at := [2]netip.Addr{vtepHere, vtepThere}
	for i := range us {
		u, err := vxlan.ListenUDP(vxlan.UDPConfig{Listen: netip.AddrPortFrom(at[i], 0)})
		if r.fail(err); r.err != nil {
			return nil, nil
		}
		us[i] = u
		r.run(u.Run)
	}
	return r.overlayHost("h0", 0, vxlan.Config{Local: at[0], Port: us[1].LocalPort(), Transport: us[0]}, at[1]),
		r.overlayHost("h1", 1, vxlan.Config{Local: at[1], Port: us[0].LocalPort(), Transport: us[1]}, at[0])
}

// A capture of every interface of each mode shows wire frames with right lengths and checksums, small enough for a wire,
// and what they carry arrives as it was sent.
func TestCaptures(t *testing.T) {
	tcp := func(addr netip.Addr) func(context.Context, *netns.Namespace, *netns.Namespace) error {
		return func(ctx context.Context, from, to *netns.Namespace) error {
			_, err := stream(ctx, from, to, addr, 1, 2*time.Millisecond)
			return err
		}
	}
	udp := func(name string) func(context.Context, *netns.Namespace, *netns.Namespace) error {
		return func(ctx context.Context, from, to *netns.Namespace) error {
			_, err := exchanges[name].run(ctx, from, to, net.JoinHostPort(containerAddr(1).String(), datagramPort), 2*time.Millisecond)
			return err
		}
	}
	for _, c := range []struct {
		name  string
		build func(r *rig) (from, to *netns.Namespace)
		work  func(ctx context.Context, from, to *netns.Namespace) error
		ifs   int // how many interfaces see a hundred wire frames at least
	}{
		{"tcp-bridge", (*rig).pair, tcp(containerAddr(1)), 4},
		{"tcp-bridge-frames", (*rig).singly, tcp(containerAddr(1)), 4},
		{"tcp-published", (*rig).publishing, tcp(hostIP), 4},
		{"tcp-vip", (*rig).balanced, tcp(vip), 4},
		{"tcp-vxlan", (*rig).overlay, tcp(containerAddr(1)), 6},
		{"tcp-vxlan-esp", (*rig).encrypted, tcp(containerAddr(1)), 6},
		{"tcp-vxlan-udp", (*rig).overUDP, tcp(containerAddr(1)), 4},
		{"udp-small", (*rig).pair, udp("small"), 4},
		{"growth-routers", func(r *rig) (from, to *netns.Namespace) { return r.routers(2) }, tcp(netip.MustParseAddr("10.1.2.2")), 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t.Context())
			from, to := c.build(r)
			if r.err != nil {
				t.Fatal(r.stop())
			}
			var file bytes.Buffer
			pcap := fabric.NewCapture(&file, fabric.CaptureConfig{})
			for _, ns := range r.all {
				for _, i := range ns.Interfaces() {
					i.Taps().Add(pcap.Interface(ns.Name() + "/" + i.Name()))
				}
			}
			ctx, end := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- pcap.Run(ctx) }()
			err := r.use(func() error { return c.work(r.ctx, from, to) })
			end()
			if err := errors.Join(err, <-ended); err != nil {
				t.Fatal(err)
			}
			checkCapture(t, &file, c.ifs)
		})
	}
}

// checkCapture checks every packet of a capture.
func checkCapture(t *testing.T, file io.Reader, busy int) {
	t.Helper()
	in, err := pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]int{}
	for n := 1; ; n++ {
		b, ci, err := in.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen[ci.InterfaceIndex]++
		if err := fabrictest.CheckWire(b); err != nil {
			t.Fatalf("packet %d: %v: % x", n, err, b[:min(len(b), 100)])
		}
		if len(b) > wire.EthernetLen+netns.DefaultMTU {
			t.Fatalf("packet %d has %d bytes", n, len(b))
		}
	}
	for _, n := range seen {
		if n >= 100 {
			busy--
		}
	}
	if busy > 0 {
		t.Errorf("%d interfaces saw too little: %v", busy, seen)
	}
}
