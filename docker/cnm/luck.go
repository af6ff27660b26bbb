package cnm

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/netsim-lab/netsim/fabric/wire"
)

func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// newID returns 64 hex digits (I29).
func (c *Controller) newID() string {
	var b [32]byte
	c.luckMu.Lock()
	for i := range b {
		b[i] = byte(c.luck.Uint32())
	}
	c.luckMu.Unlock()
	return hex.EncodeToString(b[:])
}

// newVethName returns the name of the host's end of a container's interface (I26).
func (c *Controller) newVethName() string {
	c.luckMu.Lock()
	defer c.luckMu.Unlock()
	return fmt.Sprintf("veth%07x", c.luck.Uint32N(1<<28))
}

// newBridgeMAC returns the hardware address of a bridge: of Docker's own in 2017, wholly random today (I21).
func (c *Controller) newBridgeMAC() wire.MAC {
	c.luckMu.Lock()
	v := c.luck.Uint64()
	c.luckMu.Unlock()
	m := wire.MAC{0x02, 0x42, byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}
	if c.cfg.Modern {
		m[0], m[1] = byte(v>>32)&^1|2, byte(v>>40)
	}
	return m
}

// newRand returns a source of luck of its own.
func (c *Controller) newRand() *rand.Rand {
	c.luckMu.Lock()
	defer c.luckMu.Unlock()
	return rand.New(rand.NewPCG(c.luck.Uint64(), c.luck.Uint64()))
}

// newMAC returns the hardware address of an endpoint: 02:42 and the address (I19); today a random one but on overlays (I20), and where
// there is no address.
func (c *Controller) newMAC(n *Network, ip netip.Addr) wire.MAC {
	if c.cfg.Modern && n.cfg.Driver != DriverOverlay || !ip.IsValid() {
		return c.newBridgeMAC()
	}
	return MACFor(ip)
}

// MACFor returns the hardware address that Docker makes of an IPv4 address: 02:42 and its four bytes.
func MACFor(ip netip.Addr) wire.MAC {
	a := ip.As4()
	return wire.MAC{0x02, 0x42, a[0], a[1], a[2], a[3]}
}
