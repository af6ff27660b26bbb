package shell

import (
	"context"
	"net/netip"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

// runArp is arp: the neighbour table, -d ADDR and -s ADDR MAC.
func runArp(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "n a e v i: d s")
	if err != nil {
		return c.badOption(err)
	}
	device, _ := opts.last("i")
	switch {
	case opts.has("d"), opts.has("s"):
		return c.arpChange(opts.has("s"), device, rest)
	case opts.has("a"), c.busybox():
		return c.arpLines(ctx, device, opts.has("n"), rest)
	}
	head := false
	for _, n := range neighboursOf(c.Sys.NS) {
		if !arpWanted(n, device, rest) {
			continue
		}
		if !head {
			head = true
			c.Printf("Address                  HWtype  HWaddress           Flags Mask            Iface\n")
		}
		name := n.Addr.String()
		if !opts.has("n") {
			if r := c.Sys.reverse(ctx, n.Addr); r != "" {
				name = r
			}
		}
		if !hasMAC(n) {
			c.Printf("%-25s%-8s%-20s%-6s%-16s%s\n", name, "", "(incomplete)", "", "", n.Dev.Name())
			continue
		}
		flags := "C"
		if n.State == netns.NeighPermanent {
			flags = "CM"
		}
		c.Printf("%-25s%-8s%-20s%-6s%-16s%s\n", name, "ether", n.MAC, flags, "", n.Dev.Name())
	}
	return 0
}

func hasMAC(n netns.Neighbour) bool {
	return n.State != netns.NeighIncomplete && n.State != netns.NeighFailed && n.State != netns.NeighNone
}

func arpWanted(n netns.Neighbour, device string, addrs []string) bool {
	return (device == "" || n.Dev.Name() == device) && (len(addrs) == 0 || n.Addr.String() == addrs[0])
}

// arpLines is the look of arp -a, and of busybox.
func (c *Call) arpLines(ctx context.Context, device string, numeric bool, rest []string) int {
	for _, n := range neighboursOf(c.Sys.NS) {
		if !arpWanted(n, device, rest) {
			continue
		}
		name := "?"
		if !numeric {
			if r := c.Sys.reverse(ctx, n.Addr); r != "" {
				name = r
			}
		}
		hardware, gap := "<incomplete>", " "
		if hasMAC(n) {
			hardware = n.MAC.String() + " [ether]"
		}
		if n.State == netns.NeighPermanent {
			hardware += " PERM"
		}
		if c.busybox() {
			gap = "  "
		}
		c.Printf("%s (%s) at %s%son %s\n", name, n.Addr, hardware, gap, n.Dev.Name())
	}
	return 0
}

func (c *Call) arpChange(set bool, device string, args []string) int {
	if len(args) == 0 || set && len(args) < 2 {
		switch {
		case c.busybox():
			return c.Errorf("need host name")
		case set && len(args) > 0:
			return c.say1("arp: need hardware address", 255)
		}
		return c.say1("arp: need host name", 255)
	}
	addr, err := netip.ParseAddr(args[0])
	if err != nil {
		return c.say1(args[0]+": Unknown host", 255)
	}
	var dev *netns.Interface
	if r, ok := c.Sys.NS.RouteTo(addr); ok {
		dev = r.Dev
	}
	if device != "" {
		dev, _ = c.Sys.NS.Interface(device)
	}
	if dev == nil {
		return c.say1("SIOCSARP: Network is unreachable", 255)
	}
	if !set {
		if !dev.RemoveNeighbour(addr) {
			return c.say1("No ARP entry for "+args[0], 255)
		}
		return 0
	}
	mac, err := wire.ParseMAC(args[1])
	if err != nil {
		return c.Errorf("invalid hardware address")
	}
	dev.AddNeighbour(addr, mac)
	return 0
}
