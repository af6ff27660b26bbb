package shell

import (
	"fmt"
	"strings"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// running tells whether an interface is up and something is at its other end.
func running(i *netns.Interface) bool { return i.Up() && i.Carrier() }

// operState returns the state that ip prints.
func operState(i *netns.Interface) string {
	switch {
	case !i.Up():
		return "DOWN"
	case i.Kind() == netns.KindLoopback, i.Kind() == netns.KindVXLAN:
		return "UNKNOWN"
	case i.Kind() == netns.KindDummy:
		return "UNKNOWN"
	case !i.Carrier() && (i.Kind() == netns.KindVeth || i.Lower() != nil):
		return "LOWERLAYERDOWN"
	case !i.Carrier():
		return "DOWN"
	}
	return "UP"
}

// linkFlags returns the flags in angle brackets.
func linkFlags(i *netns.Interface) string {
	var f []string
	if i.Up() && !i.Carrier() {
		f = append(f, "NO-CARRIER")
	}
	if i.Kind() == netns.KindLoopback {
		f = append(f, "LOOPBACK")
	} else {
		f = append(f, "BROADCAST", "MULTICAST")
	}
	if i.Up() {
		f = append(f, "UP")
	}
	if i.NoARP() {
		f = append(f, "NOARP")
	}
	if running(i) {
		f = append(f, "LOWER_UP")
	}
	return "<" + strings.Join(f, ",") + ">"
}

// linkName is the name with that of the interface it is on top of, or of the other end of its pair, behind, or the index of
// one in another namespace.
func linkName(i *netns.Interface) string {
	if l := i.Lower(); l != nil && l.Namespace() == i.Namespace() {
		return i.Name() + "@" + l.Name()
	}
	if p := i.Peer(); p != nil && p.Namespace() == i.Namespace() {
		return i.Name() + "@" + p.Name()
	}
	if p := i.PeerIndex(); p != 0 {
		return fmt.Sprintf("%s@if%d", i.Name(), p)
	}
	return i.Name()
}

func qdisc(i *netns.Interface) string {
	if i.Kind() == netns.KindPhysical {
		return "pfifo_fast"
	}
	return "noqueue"
}

// linkLine is the first line of an interface.
func (i *ipCall) linkLine(dev *netns.Interface, mode string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: %s: %s mtu %d qdisc %s", dev.Index(), linkName(dev), linkFlags(dev), dev.MTU(), qdisc(dev))
	if i.busybox() {
		return b.String()
	}
	if m := dev.Master(); m != nil {
		b.WriteString(" master " + m.Name())
	}
	fmt.Fprintf(&b, " state %s %sgroup default", operState(dev), mode)
	switch dev.Kind() {
	case netns.KindLoopback:
		b.WriteString(" qlen 1")
	case netns.KindPhysical:
		b.WriteString(" qlen 1000")
	}
	return b.String()
}

// linkAddress is the second line.
func (i *ipCall) linkAddress(dev *netns.Interface) string {
	if dev.Kind() == netns.KindLoopback {
		return "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00"
	}
	line := fmt.Sprintf("    link/ether %s brd %s", dev.MAC(), wire.Broadcast)
	if dev.PeerIndex() != 0 && !strings.Contains(linkName(dev), "@if") || i.busybox() {
		return line
	}
	if dev.PeerIndex() != 0 {
		line += " link-netnsid 0"
	}
	return line
}

// linkDetails are the lines that -d adds.
func linkDetails(dev *netns.Interface) []string {
	var lines []string
	switch dev.Kind() {
	case netns.KindVeth:
		lines = append(lines, "    veth")
	case netns.KindVLAN:
		lines = append(lines, fmt.Sprintf("    vlan protocol 802.1Q id %d <REORDER_HDR>", dev.VLAN()))
	case netns.KindMacvlan:
		lines = append(lines, "    macvlan mode "+dev.MacvlanMode().String())
	case netns.KindIPVlan:
		lines = append(lines, "    ipvlan mode "+dev.IPVlanMode().String()+" bridge")
	case netns.KindDummy:
		lines = append(lines, "    dummy")
	case netns.KindBridge:
		ageing := dev.Bridge().Ageing()
		lines = append(lines, fmt.Sprintf("    bridge forward_delay 1500 hello_time 200 max_age 2000 ageing_time %d stp_state 0 priority 32768 "+
			"vlan_filtering 0 vlan_protocol 802.1Q", ageing.Milliseconds()/10))
	case netns.KindVXLAN:
		if d, ok := dev.Device().(*vxlan.Device); ok {
			lines = append(lines, fmt.Sprintf("    vxlan id %d srcport 0 0 dstport %d proxy l2miss l3miss ageing 300", d.VNI(), vxlan.Port))
		}
	}
	if dev.Master() != nil {
		lines = append(lines, "    bridge_slave state forwarding priority 32 cost 2 hairpin off guard off root_block off fastleave off learning on flood on")
	}
	return lines
}

// statLines are those that -s adds.
func statLines(dev *netns.Interface) []string {
	s := dev.Read()
	return []string{"    RX: bytes  packets  errors  dropped overrun mcast",
		fmt.Sprintf("    %-10d %-8d 0       %-7d 0       0", s.RxBytes, s.RxFrames, s.Dropped()),
		"    TX: bytes  packets  errors  dropped carrier collsns",
		fmt.Sprintf("    %-10d %-8d 0       0       0       0", s.TxBytes, s.TxFrames)}
}

// print writes the lines of one interface, joined with -o.
func (i *ipCall) print(lines []string) {
	sep := "\n"
	if i.oneline {
		sep = "\\"
	}
	i.Printf("%s\n", strings.Join(lines, sep))
}

// wanted returns the interfaces that show was asked for.
func (i *ipCall) wanted() ([]*netns.Interface, error) {
	master, up, kind := "", false, ""
	name := ""
	for len(i.args) > 0 {
		switch w := i.next(); w {
		case "dev":
			name = i.next()
		case "master":
			master = i.next()
		case "up":
			up = true
		case "type":
			kind = i.next()
		case "scope", "label":
			i.next()
		default:
			name = w
		}
	}
	if name != "" {
		dev, err := i.device(name)
		if err != nil {
			return nil, err
		}
		return []*netns.Interface{dev}, nil
	}
	var all []*netns.Interface
	for _, dev := range i.ns.Interfaces() {
		m := dev.Master()
		if master != "" && (m == nil || m.Name() != master) || up && !dev.Up() || kind != "" && dev.Kind().String() != kind {
			continue
		}
		all = append(all, dev)
	}
	return all, nil
}

// link is ip link: show and set.
func (i *ipCall) link() error {
	switch verb := i.verb(); {
	case abbreviates(verb, "set"):
		return i.linkSet()
	case abbreviates(verb, "add"):
		return i.linkAdd()
	case abbreviates(verb, "delete"):
		return i.linkDelete()
	case !abbreviates(verb, "show") && !abbreviates(verb, "list") && verb != "ls":
		return i.errUnknown(verb, "link")
	}
	all, err := i.wanted()
	if err != nil {
		return err
	}
	i.shows = true
	for _, dev := range all {
		if i.json {
			i.found = append(i.found, i.linkObject(dev, false))
			continue
		}
		if i.brief {
			i.Printf("%-16s %-14s %s %s \n", linkName(dev), operState(dev), dev.MAC(), linkFlags(dev))
			continue
		}
		lines := []string{i.linkLine(dev, "mode DEFAULT "), i.linkAddress(dev)}
		if i.details {
			promiscuity := 0
			if dev.Master() != nil {
				promiscuity = 1
			}
			lines[1] += fmt.Sprintf(" promiscuity %d", promiscuity)
			lines = append(lines, linkDetails(dev)...)
		}
		if i.stats {
			lines = append(lines, statLines(dev)...)
		}
		i.print(lines)
	}
	return nil
}

func (i *ipCall) linkDelete() error {
	got, err := i.pairs("dev", "dev", "type")
	if err != nil {
		return err
	}
	if _, ok := i.ns.Interface(got["dev"]); !ok {
		return bad("Cannot find device \"" + got["dev"] + "\"")
	}
	if err := i.ns.RemoveInterface(got["dev"]); err != nil {
		return kernelSays("Operation not supported")
	}
	return nil
}
