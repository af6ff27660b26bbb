package cnm

import (
	"net/netip"
	"testing"
)

// A port is free as soon as its forwarder is closed: containers that restart publish it again at once (B29).
func TestForwarderGivesItsPortBack(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	listen, target := netip.MustParseAddrPort("0.0.0.0:8080"), netip.MustParseAddrPort("172.17.0.2:80")
	for _, proto := range []string{"tcp", "udp"} {
		for i := range 500 {
			p, err := c.newProxy(proto, listen, target)
			if err != nil {
				t.Fatalf("%s, the %d. time: %v", proto, i+1, err)
			}
			p.close()
		}
	}
}
