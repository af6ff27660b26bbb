package shell

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

// X2, X3, X4: the associations and policies of a host, as iproute2 shows them.
func TestIPXfrm(t *testing.T) {
	b := newBench(t)
	b.expect(b.host, "ip xfrm state; ip xfrm policy", "", 0)
	b.expect(b.host, "ip xfrm", "Usage: ip xfrm XFRM-OBJECT { COMMAND | help }\nwhere  XFRM-OBJECT := state | policy", 255)
	b.expect(b.host, "ip xfrm state flush", `Command "flush" is unknown, try "ip xfrm state help".`, 255)
	carrier, err := b.host.NS.ListenESP()
	if err != nil {
		t.Fatal(err)
	}
	local, peer := netip.MustParseAddr("192.168.56.11"), netip.MustParseAddr("192.168.56.12")
	e := vxlan.NewESP(vxlan.ESPConfig{Local: local, Carrier: carrier})
	carrier.Show(e)
	key := esp.Key{Tag: 1, Value: [16]byte{1, 2, 3}}
	for _, err := range []error{e.SetKeys([]esp.Key{key}), e.AddPeer(peer)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	in, out := esp.SPI(peer, local, 1), esp.SPI(local, peer, 1)
	state := func(src, dst netip.Addr, spi uint32, window int) string {
		return fmt.Sprintf(`src %s dst %s
	proto esp spi 0x%08x reqid 13681891 mode transport
	replay-window %d 
	aead rfc4106(gcm(aes)) 0x01020300000000000000000000000000%08x 64
	anti-replay esn context:
	 seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0
	 replay_window %d, bitmap-length %d
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
`, src, dst, spi, window, spi, window, window/32)
	}
	b.expect(b.host, "ip xfrm state", state(peer, local, in, 4096)+state(local, peer, out, 0), 0)
	b.expect(b.host, "ip xfrm state list src 192.168.56.11", state(local, peer, out, 0), 0)
	b.expect(b.host, "ip -s x s list src 192.168.56.12 | grep -A 1 -e lifetime -e stats:", "	lifetime current:\n	  0(bytes), 0(packets)\n	stats:\n	  replay-window 0 replay 0 failed 0", 0)
	b.expect(b.host, "ip xfrm policy", fmt.Sprintf(`src 192.168.56.11/32 dst 192.168.56.12/32 proto udp dport 4789 
	dir out priority 0 ptype main 
	mark 0xd0c4e3/0xffffffff 
	tmpl src 192.168.56.11 dst 192.168.56.12
		proto esp spi 0x%08x reqid 13681891 mode transport`, out), 0)
}
