package wire_test

import (
	"fmt"
	"net/netip"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// A router takes one from the time to live, and NAT writes another source: each mends the checksum on its way.
func Example() {
	b := make([]byte, wire.IPv4Len)
	wire.PutIPv4(b, wire.IPv4Fields{TotalLen: 20, TTL: 64, Proto: wire.ProtoUDP,
		Src: netip.MustParseAddr("172.17.0.2"), Dst: netip.MustParseAddr("192.0.2.1")})
	h, err := wire.ParseIPv4(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	h.DecTTL()
	h.SetSrc(netip.MustParseAddr("10.0.0.1"))
	fmt.Println(h.Src(), "to", h.Dst(), "ttl", h.TTL(), "valid", h.Valid())
	// Output: 10.0.0.1 to 192.0.2.1 ttl 63 valid true
}
