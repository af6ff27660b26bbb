package vxlan_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/vxlantest"
)

// datagrams returns the wire frames of a wrapped train of n segments with 100 bytes of data each.
func datagrams(c vxlantest.TrainConfig) [][]byte {
	return vxlantest.WireFrames(vxlantest.Wrap(vxlantest.Train(c), 257))
}

const (
	ipAt  = vxlan.HeaderLen + wire.EthernetLen
	tcpAt = ipAt + wire.IPv4Len
)

// resum fills the checksums of a datagram that was changed.
func resum(b []byte) {
	ip, tcp := wire.IPv4(b[ipAt:]), wire.TCP(b[tcpAt:])
	ip.FillChecksum()
	tcp.SetChecksum(0)
	tcp.SetChecksum(^wire.Fold(wire.Sum(tcp, wire.PseudoSum(ip.Src(), ip.Dst(), wire.ProtoTCP, len(tcp)))))
}

func TestCutJoins(t *testing.T) {
	train := vxlantest.TrainConfig{Segs: 6, MSS: 100}
	edit := func(i int, change func(b []byte)) func([][]byte) [][]byte {
		return func(d [][]byte) [][]byte { change(d[i]); resum(d[i]); return d }
	}
	for _, tt := range []struct {
		name   string
		config vxlantest.TrainConfig
		change func(d [][]byte) [][]byte
		want   []uint16 // segments of the frames
	}{
		{"all of a train", train, nil, []uint16{6}},
		{"short last one", vxlantest.TrainConfig{Segs: 6, MSS: 100, Last: 1}, nil, []uint16{6}},
		{"64 are the most", vxlantest.TrainConfig{Segs: 64, MSS: 100}, func(d [][]byte) [][]byte {
			return append(d, datagrams(vxlantest.TrainConfig{Segs: 2, MSS: 100})...)
		}, []uint16{64, 2}},
		{"one alone", vxlantest.TrainConfig{Segs: 1, MSS: 100}, nil, []uint16{1}},
		{"one missing", train, func(d [][]byte) [][]byte { return slices.Delete(d, 2, 3) }, []uint16{2, 3}},
		{"out of order", train, func(d [][]byte) [][]byte { d[2], d[3] = d[3], d[2]; return d }, []uint16{2, 1, 1, 2}},
		{"twice", train, func(d [][]byte) [][]byte { return slices.Insert(d, 3, d[2]) }, []uint16{3, 4}},
		{"push ends a train", train, edit(2, func(b []byte) { b[tcpAt+13] |= wire.PSH }), []uint16{3, 3}},
		{"fin ends a train", train, edit(2, func(b []byte) { b[tcpAt+13] |= wire.FIN }), []uint16{3, 3}},
		{"syn stays alone", train, edit(2, func(b []byte) { b[tcpAt+13] |= wire.SYN }), []uint16{2, 1, 3}},
		{"rst stays alone", train, edit(2, func(b []byte) { b[tcpAt+13] |= wire.RST }), []uint16{2, 1, 3}},
		{"other acknowledgment", train, edit(2, func(b []byte) { b[tcpAt+11]++ }), []uint16{2, 1, 3}},
		{"other window", train, edit(2, func(b []byte) { b[tcpAt+15]++ }), []uint16{2, 1, 3}},
		{"other timestamp", train, edit(2, func(b []byte) { b[tcpAt+27]++ }), []uint16{2, 1, 3}},
		{"other port", train, edit(2, func(b []byte) { b[tcpAt+1]++ }), []uint16{2, 1, 3}},
		{"other TTL", train, edit(2, func(b []byte) { b[ipAt+8]-- }), []uint16{2, 1, 3}},
		{"other identification", train, edit(2, func(b []byte) { b[ipAt+5] += 9 }), []uint16{2, 1, 3}},
		{"fragment", train, edit(2, func(b []byte) { b[ipAt+6] = 0x20 }), []uint16{2, 1, 3}},
		{"other VNI", train, edit(2, func(b []byte) { b[6]++ }), []uint16{2, 1, 3}},
		{"other MAC", train, edit(2, func(b []byte) { b[9]++ }), []uint16{2, 1, 3}},
		{"reserved bits", train, edit(2, func(b []byte) { b[7]++ }), []uint16{2, 1, 3}},
		{"I flag missing", train, edit(2, func(b []byte) { b[0] = 0 }), []uint16{2, 1, 3}},
		{"wrong TCP checksum", train, func(d [][]byte) [][]byte { d[2][tcpAt+16]++; return d }, []uint16{2, 1, 3}},
		{"wrong data", train, func(d [][]byte) [][]byte { d[2][len(d[2])-1]++; return d }, []uint16{2, 1, 3}},
		{"wrong IP checksum", train, func(d [][]byte) [][]byte { d[2][ipAt+10]++; return d }, []uint16{2, 1, 3}},
		{"not TCP", train, edit(2, func(b []byte) { b[ipAt+9] = wire.ProtoUDP }), []uint16{2, 1, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := datagrams(tt.config)
			if tt.change != nil {
				want = tt.change(want)
			}
			frames := vxlan.Cut(slices.Concat(want...), len(want[0]))
			var segs []uint16
			var got [][]byte
			for _, f := range frames {
				segs = append(segs, f.Segs)
				got = append(got, vxlantest.WireFrames(f)...)
			}
			if !slices.Equal(segs, tt.want) {
				t.Errorf("segments %v; want %v", segs, tt.want)
			}
			if !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("wire frames\n%x; want\n%x", got, want)
			}
		})
	}
}

// A joined train can be cut without a copy, as one that a netstack sent: its linear part holds headers only.
func TestCutTrainSplits(t *testing.T) {
	want := datagrams(vxlantest.TrainConfig{Segs: 5, MSS: 700, Last: 3})
	frames := vxlan.Cut(slices.Concat(want...), len(want[0]))
	if len(frames) != 1 {
		t.Fatalf("%d frames; want 1", len(frames))
	}
	var got [][]byte
	for _, f := range frames[0].Split(nil) {
		got = append(got, vxlantest.WireFrames(f)...)
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("split\n%x; want\n%x", got, want)
	}
}

func TestMessages(t *testing.T) {
	train := func(segs, mss, last int) *fabric.Frame {
		return vxlantest.Wrap(vxlantest.Train(vxlantest.TrainConfig{Segs: segs, MSS: mss, Last: last}), 257)
	}
	for _, tt := range []struct {
		name    string
		join    bool
		batch   []*fabric.Frame
		to      string // the destination port's last digit, for each frame
		want    []int
		refused int
	}{
		{"a train is one message", true, []*fabric.Frame{train(40, 1398, 9)}, "1", []int{40}, 0},
		{"without offload each is its own", false, []*fabric.Frame{train(3, 1398, 9)}, "1", []int{1, 1, 1}, 0},
		{"64 segments are the most", true, []*fabric.Frame{train(60, 100, 0), train(10, 100, 0)}, "11", []int{64, 6}, 0},
		{"65507 bytes are the most", true, []*fabric.Frame{train(40, 1398, 0), train(40, 1398, 0)}, "11", []int{44, 36}, 0},
		{"a short one ends a message", true, []*fabric.Frame{train(3, 100, 5), train(1, 5, 5)}, "11", []int{3, 1}, 0},
		{"a longer one begins a message", true, []*fabric.Frame{train(2, 100, 0), train(1, 200, 0)}, "11", []int{2, 1}, 0},
		{"another destination begins a message", true, []*fabric.Frame{train(2, 100, 0), train(2, 100, 0)}, "12", []int{2, 2}, 0},
		{"equal single frames share a message", true, []*fabric.Frame{train(1, 10, 0), train(1, 10, 0), train(1, 10, 0)}, "111", []int{3}, 0},
		{"too long for a datagram", true, []*fabric.Frame{train(1, 65440, 0), train(1, 10, 0)}, "11", []int{1}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, refused := vxlan.Messages(tt.join, func(i int) string { return "192.168.0.3:" + tt.to[i:i+1] }, tt.batch)
			if !slices.Equal(got, tt.want) || refused != tt.refused {
				t.Errorf("messages of %v datagrams, %d refused; want %v, %d", got, refused, tt.want, tt.refused)
			}
		})
	}
}

// FuzzReceive: whatever a read returns, the frames stand for exactly those bytes, and a VTEP takes them without harm.
func FuzzReceive(f *testing.F) {
	d := datagrams(vxlantest.TrainConfig{Segs: 4, MSS: 30, Last: 7})
	f.Add(slices.Concat(d...), uint16(len(d[0])))
	f.Add(slices.Concat(d[0], d[2], d[1]), uint16(len(d[0])))
	f.Add(vxlantest.Wrap(vxlantest.ARPRequest("10.1.0.2", "10.1.0.3"), 257).AppendSegment(nil, 0), uint16(0))
	f.Add([]byte{8, 0, 0, 0, 0, 1, 1, 0}, uint16(3))
	addr := netip.AddrPortFrom(vtep2, 1)
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		if len(b) > 1<<16 {
			return
		}
		frames := vxlan.Cut(b, int(size))
		var got []byte
		for _, f := range frames {
			for i := range int(f.Segs) {
				got = f.AppendSegment(got, i)
			}
		}
		if !bytes.Equal(got, b) {
			t.Fatalf("frames of\n%x stand for\n%x", b, got)
		}
		ends := vxlan.NewPipe(addr)
		dev, err := vxlan.New(vxlan.Config{Transport: ends[0]}).Add(vxlan.DeviceConfig{VNI: 257, Proxy: true, Learning: true})
		if err != nil {
			t.Fatal(err)
		}
		dev.SetReceiver(fabric.ReceiverFunc(dev.Send)) // and all of the sending side
		ends[0].Send(addr, frames)
	})
}
