package vxlan_test

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

func listen(t testing.TB, noOffload bool) *vxlan.UDP {
	t.Helper()
	u, err := vxlan.ListenUDP(vxlan.UDPConfig{Listen: loopback, NoOffload: noOffload})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// run runs the transport until the test ends.
func run(t testing.TB, u *vxlan.UDP) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestTransports(t *testing.T) {
	udp := func(aPlain, bPlain bool) func(t *testing.T) (a, b vxlantest.Endpoint) {
		return func(t *testing.T) (vxlantest.Endpoint, vxlantest.Endpoint) {
			a, b := listen(t, aPlain), listen(t, bPlain)
			run(t, a)
			run(t, b)
			return vxlantest.Endpoint{Transport: a, Addr: a.LocalAddr()}, vxlantest.Endpoint{Transport: b, Addr: b.LocalAddr()}
		}
	}
	t.Run("pipe", func(t *testing.T) {
		vxlantest.TestTransport(t, func(*testing.T) (a, b vxlantest.Endpoint) {
			x, y := netip.AddrPortFrom(vtep2, vxlan.Port), netip.AddrPortFrom(vtep3, vxlan.Port)
			ends := vxlan.NewPipe(x, y)
			return vxlantest.Endpoint{Transport: ends[0], Addr: x}, vxlantest.Endpoint{Transport: ends[1], Addr: y}
		})
	})
	t.Run("udp", func(t *testing.T) { vxlantest.TestTransport(t, udp(false, false)) })
	t.Run("udp without offload", func(t *testing.T) { vxlantest.TestTransport(t, udp(true, true)) })
	t.Run("udp offload to none", func(t *testing.T) { vxlantest.TestTransport(t, udp(false, true)) })
}

// A train that is sent over real UDP by a device comes out of the other device, and as a train where the kernel helps.
func TestUDPDevices(t *testing.T) {
	a, b := listen(t, false), listen(t, false)
	run(t, a)
	run(t, b)
	var devs [2]*vxlan.Device
	for i, u := range []*vxlan.UDP{a, b} {
		peer := []*vxlan.UDP{b, a}[i]
		var err error
		if devs[i], err = vxlan.New(vxlan.Config{Transport: u, Port: peer.LocalPort()}).Add(docker); err != nil {
			t.Fatal(err)
		}
	}
	devs[0].Update(func(t *vxlan.Table) { t.AddRemote("ep", vxlantest.DstMAC, loopback.Addr()) })
	train := vxlantest.Train(vxlantest.TrainConfig{Segs: 40, MSS: 1398, Last: 5})
	want := vxlantest.WireFrames(train)
	got := make(chan [][]byte, 40)
	devs[1].SetReceiver(fabric.ReceiverFunc(func(batch []*fabric.Frame) {
		for _, f := range batch {
			got <- vxlantest.WireFrames(f)
			f.Free()
		}
	}))
	devs[0].Send([]*fabric.Frame{train})
	var all [][]byte
	frames := 0
	for deadline := time.After(time.Minute); len(all) < len(want); {
		select {
		case w := <-got:
			all = append(all, w...)
			frames++
		case <-deadline:
			t.Fatalf("%d of %d wire frames arrived", len(all), len(want))
		}
	}
	for i := range want {
		if !bytes.Equal(all[i], want[i]) {
			t.Fatalf("wire frame %d: got %x, want %x", i, all[i], want[i])
		}
	}
	if vxlan.Offloads(a) && vxlan.Offloads(b) && frames != 1 {
		t.Errorf("the train came in as %d frames; want 1", frames)
	}
	if vtep, ok := devs[1].Table().Lookup(vxlantest.SrcMAC, time.Now()); !ok || vtep != loopback.Addr() {
		t.Errorf("learned %v, %v; want %v", vtep, ok, loopback.Addr())
	}
}

func TestUDPSendNeverBlocks(t *testing.T) {
	u := listen(t, false)
	for range fabric.QueueFrames + 10 { // nobody reads the queue yet
		u.Send(loopback, []*fabric.Frame{vxlantest.Wrap(unicast(), 257)})
	}
	if n := u.Dropped(fabric.DropQueueFull); n != 10 {
		t.Errorf("dropped %d for a full queue; want 10", n)
	}
	u.Send(netip.MustParseAddrPort("[::1]:9"), []*fabric.Frame{vxlantest.Wrap(unicast(), 257)})
	if n := u.Dropped(fabric.DropTransport); n != 1 {
		t.Errorf("dropped %d for an address of the wrong family; want 1", n)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	u.Send(loopback, []*fabric.Frame{vxlantest.Wrap(unicast(), 257)})
	if n := u.Dropped(fabric.DropClosed); n != 1 {
		t.Errorf("dropped %d after Close; want 1", n)
	}
	if err := u.Run(context.Background()); err != nil {
		t.Errorf("Run after Close = %v", err)
	}
}

// What the kernel refuses is counted, and the transport goes on.
func TestUDPSendFails(t *testing.T) {
	for name, plain := range map[string]bool{"offload": false, "none": true} {
		t.Run(name, func(t *testing.T) {
			a, b := listen(t, plain), listen(t, plain)
			run(t, a)
			run(t, b)
			arrived := make(chan struct{}, 1)
			b.SetReceiver(func(_ netip.AddrPort, batch []*fabric.Frame) {
				fabric.FreeAll(batch)
				arrived <- struct{}{}
			})
			nowhere := netip.MustParseAddrPort("127.0.0.1:0") // port 0 is refused
			a.Send(nowhere, []*fabric.Frame{vxlantest.Wrap(vxlantest.Train(vxlantest.TrainConfig{Segs: 3, MSS: 100}), 257)})
			a.Send(b.LocalAddr(), []*fabric.Frame{vxlantest.Wrap(unicast(), 257)})
			select {
			case <-arrived:
			case <-time.After(time.Minute):
				t.Fatal("nothing arrived after a failure")
			}
			if n := a.Dropped(fabric.DropTransport); n != 3 {
				t.Errorf("dropped %d; want 3", n)
			}
		})
	}
}

func TestUDPConcurrentSenders(t *testing.T) {
	const senders, each = 4, 50
	a, b := listen(t, false), listen(t, false)
	run(t, a)
	run(t, b)
	var mu sync.Mutex
	n, all := 0, make(chan struct{})
	b.SetReceiver(func(_ netip.AddrPort, batch []*fabric.Frame) {
		mu.Lock()
		defer mu.Unlock()
		if n += len(batch); n == senders*each {
			close(all)
		}
		fabric.FreeAll(batch)
	})
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				a.Send(b.LocalAddr(), []*fabric.Frame{vxlantest.Wrap(unicast(), 257)})
			}
		})
	}
	wg.Wait()
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Errorf("%d of %d frames arrived", n, senders*each)
	}
}

func TestListenUDPErrors(t *testing.T) {
	u := listen(t, false)
	defer u.Close()
	for addr, want := range map[string]string{"[::1]:0": "must be IPv4", u.LocalAddr().String(): "in use"} {
		_, err := vxlan.ListenUDP(vxlan.UDPConfig{Listen: netip.MustParseAddrPort(addr)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ListenUDP(%s) = %v; want %q", addr, err, want)
		}
	}
}

// A device with one remote sends everything there, to its own port: broadcasts, and what is for addresses it never saw.
func TestDeviceWithOneRemote(t *testing.T) {
	near, far := netip.MustParseAddrPort("192.0.2.1:4789"), netip.MustParseAddrPort("192.0.2.2:5000")
	ends := vxlan.NewPipe(near, far)
	dev, err := vxlan.New(vxlan.Config{Transport: ends[0]}).Add(vxlan.DeviceConfig{VNI: 42, Remote: far, MTU: 1500})
	if err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	ends[1].SetReceiver(func(_ netip.AddrPort, batch []*fabric.Frame) {
		for _, f := range batch {
			got = append(got, vxlantest.WireFrames(f)...)
			f.Free()
		}
	})
	sent := []*fabric.Frame{vxlantest.ARPRequest("10.1.0.2", "10.1.0.3"), unicast(), vxlantest.Train(vxlantest.TrainConfig{Segs: 3, MSS: 1448})}
	var want [][]byte
	for _, f := range sent {
		want = append(want, vxlantest.WireFrames(vxlantest.Wrap(f.Clone(), 42))...)
	}
	dev.Send(sent)
	if len(got) != len(want) {
		t.Fatalf("%d wire frames came; want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("wire frame %d: got %x, want %x", i, got[i], want[i])
		}
	}
}
