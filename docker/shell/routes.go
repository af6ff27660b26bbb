package shell

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// routeSetUsage is what route add and del print without a target.
const routeSetUsage = `Usage: inet_route [-vF] del {-host|-net} Target[/prefix] [gw Gw] [metric M] [[dev] If]
       inet_route [-vF] add {-host|-net} Target[/prefix] [gw Gw] [metric M]
                              [netmask N] [mss Mss] [window W] [irtt I]
                              [mod] [dyn] [reinstate] [[dev] If]
       inet_route [-vF] add {-host|-net} Target[/prefix] [metric M] reject
       inet_route [-FC] flush      NOT supported`

// routeSet is route add and del: what it says is done as ip route does it.
func (c *Call) routeSet(verb string, args []string) int {
	target, mask, rest := "", "", []string(nil)
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch word {
		case "-net", "-host":
			continue
		case "netmask", "gw", "metric", "dev":
			if len(args) == 0 {
				return c.badRoute()
			}
			switch word {
			case "netmask":
				mask = args[0]
			case "gw":
				rest = append(rest, "via", args[0])
			default:
				rest = append(rest, word, args[0])
			}
			args = args[1:]
			continue
		}
		if target == "" {
			target = word
		} else {
			rest = append(rest, "dev", word)
		}
	}
	if target == "" {
		return c.badRoute()
	}
	if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
		target += "/" + strconv.Itoa(maskBits(m))
	} else if mask != "" {
		return c.say1("route: bogus netmask "+mask, 4)
	}
	i := &ipCall{Call: c, ns: c.Sys.NS, args: append([]string{target}, rest...)}
	err, request := error(nil), "SIOCADDRT: "
	if verb == "add" {
		err = i.routeChange(false)
	} else {
		request = "SIOCDELRT: "
		err = i.routeDelete()
	}
	var e *errIP
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e) && e.status == 2:
		return c.say1(request+strings.TrimPrefix(e.text, "RTNETLINK answers: "), 7)
	}
	return c.say1(target+": Unknown host", 1)
}

// badRoute says how route add and del are used. The real one's status is 0.
func (c *Call) badRoute() int {
	if c.busybox() {
		return c.usage(1)
	}
	return c.say1(routeSetUsage, 0)
}

// netstatInterfaces is netstat -i.
func (c *Call) netstatInterfaces() int {
	c.Printf("Kernel Interface table\nIface   MTU Met   RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n")
	for _, i := range c.Sys.NS.Interfaces() {
		if !i.Up() {
			continue
		}
		flags := "BMU"
		if running(i) {
			flags = "BMRU"
		}
		if i.MAC().String() == "00:00:00:00:00:00" {
			flags = "LRU"
		}
		s := i.Read()
		c.Printf("%-5.9s %5d %-3d %8d %6d %6d %-6d %8d %6d %6d %6d %s\n", i.Name(), i.MTU(), 0, s.RxFrames, 0, s.Dropped(), 0, s.TxFrames, 0, 0, 0, flags)
	}
	return 0
}
