package shell

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

// route is ip route: show, get, add, del, replace.
func (i *ipCall) route(ctx context.Context) error {
	switch verb := i.verb(); {
	case verb == "get":
		return i.routeGet(ctx)
	case verb == "add", verb == "a":
		return i.routeChange(false)
	case verb == "replace", verb == "change":
		return i.routeChange(true)
	case abbreviates(verb, "delete"):
		return i.routeDelete()
	case !abbreviates(verb, "show") && !abbreviates(verb, "list") && verb != "ls":
		return i.errUnknown(verb, "route")
	}
	got, err := i.pairs("to", "to", "dev", "via", "table", "proto", "scope")
	if err != nil {
		return err
	}
	i.shows = true
	var only netip.Prefix
	if got["to"] != "" {
		if only, err = parsePrefix(got["to"]); err != nil {
			return err
		}
	}
	for _, r := range i.ns.Routes() {
		if only.IsValid() && r.Dst != only.Masked() || !leavesBy(r, got["dev"], got["via"]) {
			continue
		}
		if i.json {
			i.found = append(i.found, routeObject(r))
			continue
		}
		i.Printf("%s\n", routeText(r, i.busybox()))
	}
	return nil
}

// leavesBy tells whether a route, or one of its next hops, has that interface and that gateway; "" is any.
func leavesBy(r netns.Route, dev, via string) bool {
	hops := r.Hops
	if len(hops) == 0 {
		hops = []netns.NextHop{{Via: r.Via, Dev: r.Dev}}
	}
	return slices.ContainsFunc(hops, func(h netns.NextHop) bool {
		return (dev == "" || h.Dev.Name() == dev) && (via == "" || h.Via.String() == via)
	})
}

// routeText prints a route; busybox puts one blank before attributes where old iproute2 has two.
func routeText(r netns.Route, busybox bool) string {
	text := r.String()
	if busybox {
		return strings.ReplaceAll(text, "  ", " ")
	}
	return text
}

// routeGet is ip route get ADDR.
func (i *ipCall) routeGet(ctx context.Context) error {
	got, err := i.pairs("to", "to", "from", "oif")
	if err != nil {
		return err
	}
	dst, err := netip.ParseAddr(got["to"])
	if err != nil {
		if dst, err = i.Sys.lookup(ctx, got["to"]); err != nil {
			return bad("Error: inet prefix is expected rather than \"" + got["to"] + "\".")
		}
	}
	src, ok := i.ns.SourceFor(dst)
	r, routed := i.ns.RouteTo(dst)
	switch {
	case ok && src == dst && i.json:
		i.shows = true
		i.found = append(i.found, map[string]any{"type": "local", "dst": dst.String(), "dev": "lo", "prefsrc": src.String(), "flags": []string{}})
		return nil
	case ok && src == dst:
		i.Printf("local %s dev lo  src %s \n    cache <local>\n", dst, src)
		return nil
	case !routed || !ok:
		return kernelSays("Network is unreachable")
	}
	if i.shows = i.json; i.json {
		i.found = append(i.found, routeJSON{Dst: dst.String(), Gateway: gatewayText(r.Via), Dev: r.Dev.Name(), Src: src.String(), Flags: []string{}})
		return nil
	}
	line := dst.String()
	if r.Via.IsValid() {
		line += " via " + r.Via.String()
	}
	i.Printf("%s dev %s  src %s \n    cache \n", line, r.Dev.Name(), src)
	return nil
}

// routeArgs reads a route.
func (i *ipCall) routeArgs() (r netns.Route, dev string, err error) {
	if r.Hops, err = i.nextHops(); err != nil {
		return r, "", err
	}
	got, err := i.pairs("to", "to", "via", "dev", "src", "metric", "mtu", "proto", "scope", "table")
	if err != nil {
		return r, "", err
	}
	if r.Dst, err = parsePrefix(got["to"]); err != nil {
		return r, "", err
	}
	for key, to := range map[string]*netip.Addr{"via": &r.Via, "src": &r.Src} {
		if text := got[key]; text != "" {
			if *to, err = netip.ParseAddr(text); err != nil || !to.Is4() {
				return r, "", bad("Error: inet address is expected rather than \"" + text + "\".")
			}
		}
	}
	for key, to := range map[string]*int{"metric": &r.Metric, "mtu": &r.MTU} {
		if text := got[key]; text != "" {
			if *to, err = strconv.Atoi(text); err != nil || *to < 0 {
				return r, "", bad("Error: argument \"" + text + "\" is wrong: \"" + key + "\" value is invalid")
			}
		}
	}
	return r, got["dev"], nil
}

func (i *ipCall) routeChange(replace bool) error {
	r, dev, err := i.routeArgs()
	if err != nil {
		return err
	}
	if len(r.Hops) == 0 {
		if r.Dev, err = i.hopDevice(r.Via, dev); err != nil {
			return err
		}
	}
	for _, o := range i.ns.Routes() {
		if o.Dst != r.Dst.Masked() || o.Metric != r.Metric {
			continue
		}
		if !replace {
			return kernelSays("File exists")
		}
		if err := i.ns.DeleteRoute(o); err != nil {
			return kernelSays("No such process")
		}
	}
	if err := i.ns.AddRoute(r); err != nil {
		return kernelSays("Network is unreachable")
	}
	return nil
}

func (i *ipCall) routeDelete() error {
	r, dev, err := i.routeArgs()
	if err != nil {
		return err
	}
	for _, o := range i.ns.Routes() {
		via := ""
		if r.Via.IsValid() {
			via = r.Via.String()
		}
		anyMetric := r.Metric == 0 // as the kernel's fib_table_delete takes it
		if o.Dst == r.Dst.Masked() && (anyMetric || o.Metric == r.Metric) && leavesBy(o, dev, via) {
			if err := i.ns.DeleteRoute(o); err != nil {
				return kernelSays("No such process")
			}
			return nil
		}
	}
	return kernelSays("No such process")
}

// neighbour is ip neigh: show, add, del, flush.
func (i *ipCall) neighbour() error {
	verb := i.verb()
	switch {
	case verb == "add", verb == "replace", verb == "change", abbreviates(verb, "delete"):
		return i.neighbourChange(verb)
	case verb == "flush":
	case !abbreviates(verb, "show") && !abbreviates(verb, "list") && verb != "ls":
		return i.errUnknown(verb, "neigh")
	}
	got, err := i.pairs("to", "to", "dev", "nud")
	if err != nil {
		return err
	}
	i.shows = verb != "flush"
	for _, n := range i.neighbours() {
		switch {
		case got["dev"] != "" && n.Dev.Name() != got["dev"], got["to"] != "" && n.Addr.String() != got["to"] && got["to"] != "all",
			got["nud"] != "" && got["nud"] != "all" && !strings.EqualFold(n.State.String(), got["nud"]):
		case verb != "flush" && i.json:
			i.found = append(i.found, neighObject(n))
		case verb != "flush":
			i.Printf("%s\n", neighbourText(n))
		case n.State != netns.NeighPermanent || got["nud"] != "":
			n.Dev.RemoveNeighbour(n.Addr)
		}
	}
	return nil
}

// neighbours returns the table, with those entries that a tunnel alone has and answers ARP requests from (O7).
func (i *ipCall) neighbours() []netns.Neighbour { return neighboursOf(i.ns) }

func neighboursOf(ns *netns.Namespace) []netns.Neighbour {
	all := ns.Neighbours()
	own := len(all)
	for _, dev := range ns.Interfaces() {
		d, ok := tunnelOf(dev)
		if !ok {
			continue
		}
		for _, n := range d.Table().Neighbours() {
			if slices.ContainsFunc(all[:own], func(has netns.Neighbour) bool { return has.Dev == dev && has.Addr == n.IP }) {
				continue
			}
			all = append(all, netns.Neighbour{Addr: n.IP, Dev: dev, MAC: n.MAC, State: netns.NeighPermanent})
		}
	}
	return all
}

func neighbourText(n netns.Neighbour) string {
	text := fmt.Sprintf("%s dev %s", n.Addr, n.Dev.Name())
	if n.Proxy {
		return text + " proxy"
	}
	switch n.State {
	case netns.NeighIncomplete, netns.NeighFailed, netns.NeighNone:
		return text + "  " + n.State.String()
	}
	return fmt.Sprintf("%s lladdr %s %s", text, n.MAC, n.State)
}

func (i *ipCall) neighbourChange(verb string) error {
	got, err := i.pairs("to", "to", "dev", "lladdr", "nud", "proxy")
	if err != nil {
		return err
	}
	proxy := got["proxy"] != ""
	if proxy {
		got["to"] = got["proxy"]
	}
	addr, err := netip.ParseAddr(got["to"])
	if err != nil || !addr.Is4() {
		return bad("Error: inet address is expected rather than \"" + got["to"] + "\".")
	}
	if got["dev"] == "" {
		return bad("Device and destination are required arguments.")
	}
	dev, ok := i.ns.Interface(got["dev"])
	if !ok {
		return bad("Cannot find device \"" + got["dev"] + "\"")
	}
	remove := abbreviates(verb, "delete")
	switch {
	case proxy && remove:
		dev.RemoveProxy(addr)
	case proxy:
		dev.AddProxy(addr)
	case remove:
		if !dev.RemoveNeighbour(addr) {
			return kernelSays("No such file or directory")
		}
	default:
		mac, err := wire.ParseMAC(got["lladdr"])
		if err != nil {
			return bad("Error: \"" + got["lladdr"] + "\" is invalid lladdr.")
		}
		dev.AddNeighbour(addr, mac)
	}
	return nil
}
