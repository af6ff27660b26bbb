package shell

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/netsim-lab/netsim/netns"
)

// runIfconfig is ifconfig: busybox's in its flavour, net-tools' elsewhere.
func runIfconfig(_ context.Context, c *Call) int {
	args := c.Args[1:]
	all := false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && !c.busybox() {
		switch args[0] {
		case "-a":
			all = true
		case "-s", "-v":
		default:
			return c.say1("ifconfig: option `"+args[0]+"' not recognised.\nifconfig: `--help' gives usage information.", 1)
		}
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "-a" {
		all, args = true, args[1:]
	}
	if len(args) == 0 {
		for _, i := range c.Sys.NS.Interfaces() {
			if i.Up() || all {
				c.Printf("%s\n", c.ifconfigBlock(i))
			}
		}
		return 0
	}
	i, ok := c.Sys.NS.Interface(args[0])
	if !ok {
		if c.busybox() {
			return c.Errorf("%s: error fetching interface information: Device not found", args[0])
		}
		return c.say1(args[0]+": error fetching interface information: Device not found", 1)
	}
	if len(args) == 1 {
		c.Printf("%s\n", c.ifconfigBlock(i))
		return 0
	}
	return c.ifconfigSet(i, args[1:])
}

// ifconfigSet is ifconfig DEV up|down|mtu N|ADDR [netmask MASK].
func (c *Call) ifconfigSet(i *netns.Interface, args []string) int {
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch word {
		case "up", "down":
			i.SetUp(word == "up")
			continue
		case "mtu":
			n := 0
			if len(args) > 0 {
				n, _ = number(args[0], 0, 1<<20)
				args = args[1:]
			}
			if i.SetMTU(n) != nil {
				return c.say1("SIOCSIFMTU: Invalid argument", 1)
			}
			continue
		}
		p, err := parsePrefix(word)
		switch {
		case err != nil && c.busybox():
			return c.Errorf("bad address '%s'", word)
		case err != nil:
			return c.say1(word+": Unknown host\nifconfig: `--help' gives usage information.", 1)
		}
		if len(args) > 1 && args[0] == "netmask" {
			mask, err := netip.ParseAddr(args[1])
			if err != nil || !mask.Is4() {
				return c.say1(args[1]+": Invalid netmask", 1)
			}
			p, args = netip.PrefixFrom(p.Addr(), maskBits(mask)), args[2:]
		}
		if i.AddAddr(p) != nil {
			return c.say1("SIOCSIFADDR: File exists", 1)
		}
	}
	return 0
}

func maskBits(mask netip.Addr) int {
	bits := 0
	for _, b := range mask.As4() {
		for ; b&0x80 != 0; b <<= 1 {
			bits++
		}
	}
	return bits
}

// ifconfigBlock is what is shown of one interface (GUIDE: busybox in capitals and MiB, net-tools in small letters and MB).
func (c *Call) ifconfigBlock(i *netns.Interface) string {
	var b strings.Builder
	mac := i.MAC().String()
	encap, words := "Ethernet", "BROADCAST "
	hardware := "  HWaddr "
	switch {
	case i.Kind() == netns.KindLoopback:
		encap, words, mac, hardware = "Local Loopback", "LOOPBACK ", "", "  "
	case c.busybox():
		mac = strings.ToUpper(mac)
	}
	fmt.Fprintf(&b, "%-9s Link encap:%s%s%s\n", i.Name(), encap, hardware, mac)
	for _, p := range i.Addrs() {
		if p.IsSingleIP() {
			continue // an alias of another interface's kind: ifconfig knows one address
		}
		bcast := "0.0.0.0"
		if hasBroadcast(i, p) {
			bcast = broadcastAddr(p).String()
		}
		if i.Kind() == netns.KindLoopback {
			fmt.Fprintf(&b, "          inet addr:%s  Mask:%s\n", p.Addr(), maskAddr(p.Bits()))
		} else {
			fmt.Fprintf(&b, "          inet addr:%s  Bcast:%s  Mask:%s\n", p.Addr(), bcast, maskAddr(p.Bits()))
		}
		break
	}
	flags := ""
	if i.Up() {
		flags = "UP "
	}
	flags += words
	if running(i) {
		flags += "RUNNING "
	}
	if i.Kind() != netns.KindLoopback {
		flags += "MULTICAST"
	}
	fmt.Fprintf(&b, "          %s  MTU:%d  Metric:1\n", strings.TrimSuffix(flags, " "), i.MTU())
	s := i.Read()
	fmt.Fprintf(&b, "          RX packets:%d errors:0 dropped:%d overruns:0 frame:0\n", s.RxFrames, s.Dropped())
	fmt.Fprintf(&b, "          TX packets:%d errors:0 dropped:0 overruns:0 carrier:0\n", s.TxFrames)
	fmt.Fprintf(&b, "          collisions:0 txqueuelen:%d\n", queueLength(i))
	fmt.Fprintf(&b, "          RX bytes:%d (%s)  TX bytes:%d (%s)\n", s.RxBytes, c.amount(s.RxBytes), s.TxBytes, c.amount(s.TxBytes))
	return b.String()
}

func queueLength(i *netns.Interface) int {
	switch i.Kind() {
	case netns.KindPhysical:
		return 1000
	case netns.KindLoopback:
		return 1
	}
	return 0
}

// amount prints bytes in the tool's units.
func (c *Call) amount(n uint64) string {
	base, units := 1000.0, []string{"B", "KB", "MB", "GB", "TB"}
	if c.busybox() {
		base, units = 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"}
	}
	f, u := float64(n), 0
	for f >= base && u < len(units)-1 {
		f /= base
		u++
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

// runRoute is route: -n, add and del.
func runRoute(_ context.Context, c *Call) int {
	args := c.Args[1:]
	for len(args) > 0 && (args[0] == "-n" || args[0] == "-e" || args[0] == "-v") {
		args = args[1:]
	}
	if len(args) > 1 && (args[0] == "add" || args[0] == "del") {
		return c.routeSet(args[0], args[1:])
	}
	switch {
	case len(args) > 0 && strings.HasPrefix(args[0], "-"):
		return c.badOption(&optionError{name: args[0][1:min(2, len(args[0]))]})
	case len(args) > 0 && c.busybox():
		return c.usage(1)
	case len(args) > 0:
		return c.usage(3)
	}
	c.Printf("Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n")
	for _, r := range c.Sys.NS.Routes() {
		via, flags := "0.0.0.0", "U"
		if r.Via.IsValid() {
			via, flags = r.Via.String(), "UG"
		}
		c.Printf("%-15s %-15s %-15s %-5s %-6d %-2d %7d %s\n", r.Dst.Addr(), via, maskAddr(r.Dst.Bits()), flags, r.Metric, 0, 0, r.Dev.Name())
	}
	return 0
}
