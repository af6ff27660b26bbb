package shell

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// linkJSON is an interface as ip -j prints it: the fields of iproute2, in its order.
type linkJSON struct {
	Index       int           `json:"ifindex"`
	Peer        int           `json:"link_index,omitempty"`
	Name        string        `json:"ifname"`
	Flags       []string      `json:"flags"`
	MTU         int           `json:"mtu"`
	Qdisc       string        `json:"qdisc"`
	Master      string        `json:"master,omitempty"`
	State       string        `json:"operstate"`
	Mode        string        `json:"linkmode,omitempty"`
	Group       string        `json:"group"`
	Queue       int           `json:"txqlen,omitempty"`
	Type        string        `json:"link_type"`
	Address     string        `json:"address"`
	Broadcast   string        `json:"broadcast"`
	Netns       *int          `json:"link_netnsid,omitempty"`
	Promiscuity *int          `json:"promiscuity,omitempty"`
	Info        *linkInfoJSON `json:"linkinfo,omitempty"`
	Addrs       *[]addrJSON   `json:"addr_info,omitempty"`
	Stats       *statsJSON    `json:"stats64,omitempty"`
}

// linkInfoJSON is what -d adds.
type linkInfoJSON struct {
	Kind  string         `json:"info_kind,omitempty"`
	Data  map[string]any `json:"info_data,omitempty"`
	Slave string         `json:"info_slave_kind,omitempty"`
}

type addrJSON struct {
	Family    string `json:"family"`
	Local     string `json:"local"`
	Bits      int    `json:"prefixlen"`
	Broadcast string `json:"broadcast,omitempty"`
	Scope     string `json:"scope"`
	Label     string `json:"label"`
	Valid     uint32 `json:"valid_life_time"`
	Preferred uint32 `json:"preferred_life_time"`
}

// statsJSON is what -s adds.
type statsJSON struct {
	Rx struct {
		Bytes     uint64 `json:"bytes"`
		Packets   uint64 `json:"packets"`
		Errors    uint64 `json:"errors"`
		Dropped   uint64 `json:"dropped"`
		Over      uint64 `json:"over_errors"`
		Multicast uint64 `json:"multicast"`
	} `json:"rx"`
	Tx struct {
		Bytes      uint64 `json:"bytes"`
		Packets    uint64 `json:"packets"`
		Errors     uint64 `json:"errors"`
		Dropped    uint64 `json:"dropped"`
		Carrier    uint64 `json:"carrier_errors"`
		Collisions uint64 `json:"collisions"`
	} `json:"tx"`
}

// routeJSON is a route.
type routeJSON struct {
	Dst      string        `json:"dst"`
	Gateway  string        `json:"gateway,omitempty"`
	Dev      string        `json:"dev,omitempty"`
	Protocol string        `json:"protocol,omitempty"`
	Scope    string        `json:"scope,omitempty"`
	Src      string        `json:"prefsrc,omitempty"`
	Metric   int           `json:"metric,omitempty"`
	Flags    []string      `json:"flags"`
	Hops     []nextHopJSON `json:"nexthops,omitempty"`
}

type nextHopJSON struct {
	Gateway string   `json:"gateway,omitempty"`
	Dev     string   `json:"dev"`
	Weight  int      `json:"weight"`
	Flags   []string `json:"flags"`
}

// neighJSON is an entry of the neighbour table.
type neighJSON struct {
	Dst    string   `json:"dst"`
	Dev    string   `json:"dev"`
	LLAddr string   `json:"lladdr,omitempty"`
	Proxy  *string  `json:"proxy,omitempty"`
	State  []string `json:"state,omitempty"`
}

// printJSON prints what a command gathered, on one line unless -p asked for more.
func (i *ipCall) printJSON() {
	if i.found == nil {
		i.found = []any{}
	}
	text, err := json.Marshal(i.found)
	if i.pretty {
		text, err = json.MarshalIndent(i.found, "", "    ")
	}
	if err == nil {
		i.Printf("%s \n", text)
	}
}

// linkObject describes an interface; with addrs it is that of ip addr.
func (i *ipCall) linkObject(dev *netns.Interface, addrs bool) linkJSON {
	l := linkJSON{Index: dev.Index(), Peer: dev.PeerIndex(), Name: dev.Name(), Flags: strings.Split(strings.Trim(linkFlags(dev), "<>"), ","), MTU: dev.MTU(),
		Qdisc: qdisc(dev), State: operState(dev), Group: "default", Queue: queueLength(dev), Type: "ether", Address: dev.MAC().String(), Broadcast: wire.Broadcast.String()}
	if dev.Kind() == netns.KindLoopback {
		l.Type, l.Address, l.Broadcast = "loopback", "00:00:00:00:00:00", "00:00:00:00:00:00"
	}
	if m := dev.Master(); m != nil {
		l.Master = m.Name()
	}
	if l.Peer != 0 {
		l.Netns = new(int)
	}
	if addrs {
		list := []addrJSON{}
		for _, p := range dev.Addrs() {
			list = append(list, addrObject(dev, p))
		}
		l.Addrs = &list
	} else {
		l.Mode = "DEFAULT"
	}
	if i.details {
		l.describe(dev)
	}
	if i.stats {
		l.Stats = statsObject(dev)
	}
	return l
}

// describe adds what -d tells.
func (l *linkJSON) describe(dev *netns.Interface) {
	l.Promiscuity = new(int)
	info := &linkInfoJSON{}
	if dev.Master() != nil {
		*l.Promiscuity = 1
		info.Slave = "bridge"
	}
	switch dev.Kind() {
	case netns.KindVeth, netns.KindDummy:
		info.Kind = dev.Kind().String()
	case netns.KindBridge:
		info.Kind, info.Data = "bridge", map[string]any{"forward_delay": 1500, "hello_time": 200, "max_age": 2000,
			"ageing_time": dev.Bridge().Ageing().Milliseconds() / 10, "stp_state": 0, "priority": 32768, "vlan_filtering": 0, "vlan_protocol": "802.1Q"}
	case netns.KindVXLAN:
		info.Kind = "vxlan"
		if d, ok := dev.Device().(*vxlan.Device); ok {
			info.Data = map[string]any{"id": d.VNI(), "port": vxlan.Port, "learning": false, "proxy": true, "l2miss": true, "l3miss": true, "ageing": 300}
		}
	case netns.KindVLAN:
		info.Kind, info.Data = "vlan", map[string]any{"protocol": "802.1Q", "id": dev.VLAN(), "flags": []string{"REORDER_HDR"}}
	case netns.KindMacvlan:
		info.Kind, info.Data = "macvlan", map[string]any{"mode": dev.MacvlanMode().String()}
	case netns.KindIPVlan:
		info.Kind, info.Data = "ipvlan", map[string]any{"mode": dev.IPVlanMode().String()}
	}
	if info.Kind != "" || info.Slave != "" {
		l.Info = info
	}
}

func statsObject(dev *netns.Interface) *statsJSON {
	r, s := dev.Read(), &statsJSON{}
	s.Rx.Bytes, s.Rx.Packets, s.Rx.Dropped = r.RxBytes, r.RxFrames, r.Dropped()
	s.Tx.Bytes, s.Tx.Packets = r.TxBytes, r.TxFrames
	return s
}

// forever is a lifetime without an end.
const forever = 1<<32 - 1

func addrObject(dev *netns.Interface, p netip.Prefix) addrJSON {
	a := addrJSON{Family: "inet", Local: p.Addr().String(), Bits: p.Bits(), Scope: "global", Label: dev.Name(), Valid: forever, Preferred: forever}
	if hasBroadcast(dev, p) {
		a.Broadcast = broadcastAddr(p).String()
	}
	if p.Addr().IsLoopback() {
		a.Scope = "host"
	}
	return a
}

// gatewayText is an address, or nothing.
func gatewayText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func routeObject(r netns.Route) routeJSON {
	o := routeJSON{Dst: r.Dst.String(), Gateway: gatewayText(r.Via), Src: gatewayText(r.Src), Metric: r.Metric, Flags: []string{}}
	switch {
	case r.Dst.Bits() == 0:
		o.Dst = "default"
	case r.Dst.IsSingleIP():
		o.Dst = r.Dst.Addr().String()
	}
	if r.Dev != nil {
		o.Dev = r.Dev.Name()
		if r.Dev.Up() && !r.Dev.Carrier() {
			o.Flags = append(o.Flags, "linkdown")
		}
	}
	if r.Kernel {
		o.Protocol = "kernel"
	}
	if !r.Via.IsValid() && len(r.Hops) == 0 {
		o.Scope = "link"
	}
	if len(r.Hops) > 0 {
		o.Gateway, o.Dev = "", ""
	}
	for _, h := range r.Hops {
		o.Hops = append(o.Hops, nextHopJSON{Gateway: gatewayText(h.Via), Dev: h.Dev.Name(), Weight: 1, Flags: []string{}})
	}
	return o
}

func neighObject(n netns.Neighbour) neighJSON {
	o := neighJSON{Dst: n.Addr.String(), Dev: n.Dev.Name()}
	if n.Proxy {
		o.Proxy = new(string)
		return o
	}
	if hasMAC(n) {
		o.LLAddr = fmt.Sprint(n.MAC)
	}
	o.State = []string{n.State.String()}
	return o
}
