package fabric_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// A train crosses a virtual Ethernet pair whole: one call, one set of headers, seven frames on the wire.
func ExampleNewVeth() {
	a, b := fabric.NewVeth("eth0", "veth1a2b3c")
	b.SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) {
		for _, f := range batch {
			f.SetDst(netip.MustParseAddrPort("172.17.0.2:8080"))
			fmt.Println(f.Src(), "to", f.Dst(), "in", f.Segs, "frames")
			f.Free()
		}
	}))
	a.Send([]*fabric.Frame{fabrictest.Packet{Size: 10000, MSS: 1448}.TCP()})
	fmt.Println("received", b.Read().RxFrames, "frames,", b.Read().RxBytes, "bytes")
	// Output:
	// 10.0.0.1:40000 to 172.17.0.2:8080 in 7 frames
	// received 7 frames, 10378 bytes
}

// A link carries frames while it runs, and counts what it cannot carry.
func ExampleLink() {
	cable := fabric.NewLink("host-a/eth0", "tor/port1")
	ctx, stop := context.WithCancel(context.Background())
	cable.B().SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) {
		fmt.Println("arrived:", len(batch))
		fabric.FreeAll(batch)
		stop()
	}))
	cable.SetUp(false)
	cable.A().Send([]*fabric.Frame{fabrictest.Packet{}.UDP()})
	cable.SetUp(true)
	cable.A().Send([]*fabric.Frame{fabrictest.Packet{}.UDP()})
	fmt.Println("run:", cable.Run(ctx))
	fmt.Println("drops:", cable.A().Read().Drops)
	// Output:
	// arrived: 1
	// run: <nil>
	// drops: map[link-down:1]
}

// A capture is one file for any number of interfaces.
func ExampleCapture() {
	var file bytes.Buffer
	capture := fabric.NewCapture(&file, fabric.CaptureConfig{
		Filter: func(_ fabric.Direction, f *fabric.Frame) bool { return f.EtherType != wire.TypeARP },
	})
	var eth0 fabric.Taps // an interface has one, and shows it what passes
	remove := eth0.Add(capture.Interface("host-a/eth0"))

	batch := []*fabric.Frame{fabrictest.Packet{Size: 56}.Echo(1, 1), fabrictest.Packet{Size: 3000, MSS: 1000}.TCP()}
	eth0.See(fabric.Out, batch)
	fabric.FreeAll(batch)
	remove()

	ctx, stop := context.WithCancel(context.Background())
	stop() // what waits is written nevertheless
	if err := capture.Run(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(capture.Stats().Written, "packets")
	// Output: 4 packets
}

// A link can be made bad, and worse, while it runs: what was set before stays.
func ExampleLinkEnd_Impair() {
	cable := fabric.NewLink("host-a/eth0", "tor:host-a")
	cable.Seed(1) // the same frames are lost every time
	set := func(update func(*fabric.Impairment)) {
		now, err := cable.A().Impair(update)
		fmt.Println("loss", now.Loss, "delay", now.Delay, err)
	}
	set(func(i *fabric.Impairment) { i.Delay = 10 * time.Millisecond })
	set(func(i *fabric.Impairment) { i.Loss = 0.5 })
	set(func(i *fabric.Impairment) { i.Loss = 50 })
	// Output:
	// loss 0 delay 10ms <nil>
	// loss 0.5 delay 10ms <nil>
	// loss 0.5 delay 10ms impair host-a/eth0: loss must be a share from 0 to 1, not 50
}
