package fabric_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/kernel"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// newKernel makes a network namespace for the test.
func newKernel(t testing.TB) *kernel.Namespace {
	t.Helper()
	if err := kernel.Check(); err != nil {
		t.Skip(err)
	}
	ns, err := kernel.NewNamespace()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// sh runs commands in the namespace.
func sh(t testing.TB, ns *kernel.Namespace, lines ...string) string {
	t.Helper()
	var out bytes.Buffer
	for _, l := range lines {
		exit, err := ns.Run(context.Background(), kernel.Command{Args: []string{"/bin/sh", "-c", l}, Stdout: &out, Stderr: &out})
		switch {
		case exit == 127:
			t.Skipf("%s: %s", l, out.String())
		case err != nil || exit != 0:
			t.Fatalf("%s: status %d, %v\n%s", l, exit, err, out.String())
		}
	}
	return out.String()
}

// openTAP opens a device in the namespace, and runs it until the test ends.
func openTAP(t testing.TB, ns *kernel.Namespace, c fabric.TAPConfig) *fabric.TAPDevice {
	t.Helper()
	d := newTAP(t, ns, c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	})
	return d
}

func newTAP(t testing.TB, ns *kernel.Namespace, c fabric.TAPConfig) *fabric.TAPDevice {
	t.Helper()
	var d *fabric.TAPDevice
	err := ns.Do(func() (err error) {
		d, err = fabric.OpenTAP(c)
		return err
	})
	if errors.Is(err, kernel.ErrUnable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if d.Whole() == c.Plain {
		if c.Plain {
			t.Fatal("a plain device carries whole trains")
		}
		t.Skip("this kernel knows no virtio headers")
	}
	return d
}

// bridged returns two devices that a bridge of the kernel connects.
func bridged(t testing.TB, plain bool) (a, b *fabric.TAPDevice) {
	ns := newKernel(t)
	sh(t, ns, "sysctl -qw net.ipv6.conf.default.disable_ipv6=1 || true", "ip link add br0 type bridge mcast_snooping 0", "ip link set br0 up")
	a, b = openTAP(t, ns, fabric.TAPConfig{Name: "tapa", Plain: plain}), openTAP(t, ns, fabric.TAPConfig{Name: "tapb", Plain: plain})
	sh(t, ns, "ip link set tapa up master br0; ip link set tapb up master br0")
	return a, b
}

func TestKernelTAPPorts(t *testing.T) {
	fabrictest.TestPorts(t, func(t *testing.T) (a, b fabric.Port) { return bridged(t, false) })
}

func TestKernelTAPPortsPlain(t *testing.T) {
	fabrictest.TestWirePorts(t, func(t *testing.T) (a, b fabric.Port) { return bridged(t, true) })
}

// One end knows trains, the other does not: the kernel cuts them, and fills in what was left out.
func TestKernelTAPBothKinds(t *testing.T) {
	ns := newKernel(t)
	sh(t, ns, "sysctl -qw net.ipv6.conf.default.disable_ipv6=1 || true", "ip link add br0 type bridge mcast_snooping 0", "ip link set br0 up")
	a, b := openTAP(t, ns, fabric.TAPConfig{Name: "tapa"}), openTAP(t, ns, fabric.TAPConfig{Name: "tapb", Plain: true})
	sh(t, ns, "ip link set tapa up master br0; ip link set tapb up master br0")
	var c fabrictest.Collector
	b.SetReceiver(&c)
	train := fabrictest.Packet{Flags: wire.ACK | wire.PSH | wire.CWR, Seq: 5, Size: 10000, MSS: 1448, Partial: true}.TCP()
	udp := fabrictest.Packet{ID: 9, Size: 700, Partial: true}.UDP()
	tagged := fabrictest.Packet{Flags: wire.ACK, Seq: 99, Size: 9000, MSS: 1400, Partial: true, VLAN: 7}.TCP()
	tunnelled := tunnel(fabrictest.Packet{Size: 3000, MSS: 1000, Partial: true}.TCP())
	var want [][]byte
	batch := []*fabric.Frame{train, udp, tagged, tunnelled}
	for _, f := range batch {
		want = append(want, fabrictest.Wire(f)...)
	}
	a.Send(batch)
	got, err := c.Wait(len(want), time.Minute)
	if err != nil {
		t.Fatal(err, a.Read())
	}
	defer fabric.FreeAll(got)
	for i, f := range got {
		if g := fabrictest.Wire(f)[0]; !bytes.Equal(g, want[i]) {
			t.Errorf("wire frame %d is\n% x; want\n% x", i, g[:60], want[i][:60])
		}
	}
	for end := time.Now().Add(time.Minute); a.Read().TxFrames < uint64(len(want)) && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // a condition: it counts what it has written, which may have come back before
	}
	if s := a.Read(); s.TxFrames != uint64(len(want)) || s.Dropped() != 0 {
		t.Errorf("Read = %+v; want %d frames sent", s, len(want))
	}
}

// The device goes while frames pass: that is told once, what was under way is counted, and nothing is left.
func TestKernelTAPRemovedUnderLoad(t *testing.T) {
	for _, plain := range []bool{false, true} {
		ns := newKernel(t)
		d := newTAP(t, ns, fabric.TAPConfig{Name: "tapa", Plain: plain})
		sh(t, ns, "ip addr add 10.9.0.1/24 dev tapa; ip link set tapa up")
		done, stop := make(chan error, 1), make(chan struct{})
		go func() { done <- d.Run(context.Background()) }()
		sent := make(chan uint64, 1)
		go func() {
			var n uint64
			for {
				select {
				case <-stop:
					sent <- n
					return
				default:
					d.Send(packets(8))
					n += 8
				}
			}
		}()
		for d.Read().TxFrames < 1000 {
			time.Sleep(time.Millisecond) // a condition: frames pass
		}
		sh(t, ns, "ping -q -f -c 200 -w 1 10.9.0.2 >/dev/null; ip link del tapa")
		select {
		case err := <-done:
			if !errors.Is(err, fabric.ErrTAPGone) || !strings.Contains(err.Error(), "TAP device tapa") {
				t.Errorf("Run = %v; want %v", err, fabric.ErrTAPGone)
			}
		case <-time.After(time.Minute):
			t.Fatal("Run goes on without its device")
		}
		if d.Carrier() {
			t.Error("a device that is gone has a carrier")
		}
		close(stop)
		n := <-sent
		if s := d.Read(); s.TxFrames+s.Dropped() < n { // and some that arrived: there is no receiver
			t.Errorf("%d frames were sent, but %+v", n, s)
		}
	}
}

// While the device is down its frames are counted as dropped; it goes on when that is over.
func TestKernelTAPDown(t *testing.T) {
	ns := newKernel(t)
	d := openTAP(t, ns, fabric.TAPConfig{})
	if d.Name() != "tap0" {
		t.Errorf("the device is called %q; want tap0", d.Name())
	}
	wait := func(what string, ok func(fabric.Stats) bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(d.Read()); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %+v", what, d.Read())
			}
		}
	}
	d.Send(packets(3))
	wait("3 frames to a device that is down", func(s fabric.Stats) bool { return s.Drops["link-down"] == 3 })
	sh(t, ns, "ip link set tap0 up")
	d.Send(packets(2))
	wait("2 frames sent", func(s fabric.Stats) bool { return s.TxFrames == 2 })
}

// A device that root made stays, without offloads, when it is left.
func TestKernelTAPThatExists(t *testing.T) {
	for _, plain := range []bool{false, true} {
		ns := newKernel(t)
		sh(t, ns, "ip tuntap add mine mode tap; ip link set mine up; ip link add other type bridge")
		d := newTAP(t, ns, fabric.TAPConfig{Name: "mine", Plain: plain})
		var second error
		_ = ns.Do(func() error { _, second = fabric.OpenTAP(fabric.TAPConfig{Name: "mine"}); return nil })
		if second == nil || !strings.Contains(second.Error(), "another program uses it") {
			t.Errorf("OpenTAP of a device in use = %v", second)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if out := sh(t, ns, "ip link show mine"); !strings.Contains(out, "mine") {
			t.Errorf("the device is gone: %s", out)
		}
		_ = ns.Do(func() error { _, second = fabric.OpenTAP(fabric.TAPConfig{Name: "other"}); return nil })
		if second == nil || !strings.Contains(second.Error(), "no TAP device") {
			t.Errorf("OpenTAP of a bridge = %v", second)
		}
	}
}

func TestOpenTAPRefusesNames(t *testing.T) {
	for _, name := range []string{"a-name-that-is-too-long", "a b", "a/b", "..", "tap%d"} {
		if _, err := fabric.OpenTAP(fabric.TAPConfig{Name: name}); err == nil {
			t.Errorf("OpenTAP takes the name %q", name)
		}
	}
}
