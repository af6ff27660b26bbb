package vxlan_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// What anybody sends to the socket of the tunnel is dropped with its reason unless it is right, and what is right comes
// through before and after it.
func TestUDPDoor(t *testing.T) {
	good := vxlantest.WireFrames(vxlantest.Wrap(unicast(), 257))[0]
	head := func(b ...byte) []byte { return b }
	for _, c := range []struct {
		name         string
		b            []byte
		vtep, device fabric.DropReason
	}{
		{"foreign VNI", append(head(8, 0, 0, 0, 0, 1, 2, 0), good[vxlan.HeaderLen:]...), fabric.DropForeignVNI, 0},
		{"I flag missing", append(head(0, 0, 0, 0, 0, 1, 1, 0), good[vxlan.HeaderLen:]...), fabric.DropMalformed, 0},
		{"half a header", good[:5], fabric.DropTruncated, 0},
		{"nothing inside", good[:vxlan.HeaderLen], 0, fabric.DropTruncated},
		{"half an Ethernet header", good[:vxlan.HeaderLen+9], 0, fabric.DropTruncated},
		{"half a packet", good[:vxlan.HeaderLen+30], 0, fabric.DropTruncated},
		{"as long as a datagram can be, of nothing", append(head(8, 0, 0, 0, 0, 1, 2, 0), make([]byte, 65000)...), fabric.DropForeignVNI, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := listen(t, false)
			run(t, u)
			v := vxlan.New(vxlan.Config{Transport: u})
			d, err := v.Add(docker)
			if err != nil {
				t.Fatal(err)
			}
			var got fabrictest.Collector
			defer got.Free()
			d.SetReceiver(&got)
			conn, err := net.Dial("udp4", u.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for _, b := range [][]byte{good, c.b, good} {
				if _, err := conn.Write(b); err != nil {
					t.Fatal(err)
				}
			}
			frames, err := got.Wait(2, 10*time.Second)
			if err != nil {
				t.Fatal(err, v.Read().Drops, d.Read().Drops)
			}
			fabric.FreeAll(frames)
			if c.vtep != 0 && v.Dropped(c.vtep) != 1 || c.device != 0 && d.Dropped(c.device) != 1 || v.Read().Dropped()+d.Read().Dropped() != 1 {
				t.Errorf("drops %v, %v; want %v or %v", v.Read().Drops, d.Read().Drops, c.vtep, c.device)
			}
		})
	}
}

// A frame that no datagram can carry is counted, and the socket goes on.
func TestUDPSendsNothingOversized(t *testing.T) {
	a, b := listen(t, false), listen(t, false)
	run(t, b)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var got fabrictest.Collector
	defer got.Free()
	v := vxlan.New(vxlan.Config{Transport: b})
	d, err := v.Add(docker)
	if err != nil {
		t.Fatal(err)
	}
	d.SetReceiver(&got)
	huge := vxlantest.Wrap(fabrictest.Packet{Size: 65490}.UDP(), 257) // with its headers more than 65,507 bytes
	a.Send(b.LocalAddr(), []*fabric.Frame{huge, vxlantest.Wrap(unicast(), 257)})
	frames, err := got.Wait(1, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	fabric.FreeAll(frames)
	cancel()
	if err := <-done; err != nil || a.Dropped(fabric.DropMTU) != 1 {
		t.Errorf("Run = %v, dropped %v; want one for its size", err, a.Read().Drops)
	}
}
