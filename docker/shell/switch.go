package shell

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/l2switch/stp"
)

// switchTool is brctl or bridge on a physical switch, which has no interfaces of a namespace: it shows the switch as a
// bridge of its name.
func (c *Call) switchTool(sw *l2switch.Switch) int {
	args := slices.DeleteFunc(slices.Clone(c.Args[1:]), func(a string) bool { return strings.HasPrefix(a, "-") })
	what := ""
	if len(args) > 0 {
		what = args[0]
	}
	if c.Args[0] == "brctl" {
		switch what {
		case "show":
			c.switchShow(sw)
		case "showmacs":
			return c.showMACs(sw)
		case "showstp":
			return c.showSTP(sw)
		default:
			return c.say1("on a switch brctl knows show, showmacs and showstp", 1)
		}
		return 0
	}
	switch {
	case what == "fdb":
		for _, e := range sw.Entries() {
			vlan := ""
			if e.VLAN != 0 {
				vlan = fmt.Sprintf("vlan %d ", e.VLAN)
			}
			c.Printf("%s dev %s %smaster %s\n", e.MAC, e.Port, vlan, sw.Name())
		}
	case what != "" && abbreviates(what, "link"):
		c.switchLinks(sw)
	case what != "" && abbreviates(what, "vlan"):
		c.Printf("port\tvlan ids\n")
		for _, p := range sw.Ports() {
			c.Printf("%s%s\n", p.Name, vlanLines(p.Config))
		}
	default:
		return c.say1("on a switch bridge knows link, fdb and vlan", 255)
	}
	return 0
}

// vlanLines are the VLANs of a port, as bridge vlan lists them: first those of untagged frames.
func vlanLines(cfg l2switch.PortConfig) string {
	pvid := max(cfg.VLAN, 1)
	if len(cfg.Trunk) > 0 {
		pvid = cfg.Native
	}
	var b strings.Builder
	if pvid != 0 {
		fmt.Fprintf(&b, "\t %d PVID Egress Untagged\n", pvid)
	}
	for _, id := range cfg.Trunk {
		if id != pvid {
			fmt.Fprintf(&b, "\t %d\n", id)
		}
	}
	return b.String()
}

// switchShow is brctl show.
func (c *Call) switchShow(sw *l2switch.Switch) {
	id, enabled := "8000.000000000000", "no"
	if tree, ok := sw.Tree(); ok {
		id, enabled = tree.ID.String(), "yes"
	}
	var names []string
	for _, p := range sw.Ports() {
		names = append(names, p.Name)
	}
	tabs := "\t\t"
	if len(sw.Name()) >= 8 {
		tabs = "\t"
	}
	c.Printf("bridge name\tbridge id\t\tSTP enabled\tinterfaces\n%s%s%s\t%s\t\t%s\n", sw.Name(), tabs, id, enabled, strings.Join(names, "\n\t\t\t\t\t\t\t"))
}

// switchLinks is bridge link.
func (c *Call) switchLinks(sw *l2switch.Switch) {
	states := map[string]stp.PortInfo{}
	if tree, ok := sw.Tree(); ok {
		for _, p := range tree.Ports {
			states[p.Name] = p.PortInfo
		}
	}
	for _, p := range sw.Ports() {
		oper, state, cost, priority := "UP", "forwarding", uint32(stp.DefaultCost), uint16(32)
		if s, ok := states[p.Name]; ok {
			cost, priority = s.Cost, s.ID>>10 // as the kernel cuts a port id
			state = kernelState(s)
		}
		if !p.Carrier {
			oper, state = "DOWN", "disabled"
		}
		c.Printf("%d: %s state %s master %s state %s priority %d cost %d \n", p.Number, p.Name, oper, sw.Name(), state, priority, cost)
	}
}

// kernelState is a port's state as Linux calls it: blocking, if it is to stay so.
func kernelState(s stp.PortInfo) string {
	switch {
	case s.Role == stp.RoleDisabled:
		return "disabled"
	case s.State != stp.Discarding:
		return s.State.String()
	case s.Role == stp.RoleAlternate || s.Role == stp.RoleBackup:
		return "blocking"
	}
	return "listening"
}

// showSTP is brctl showstp, and the role of each port, which the kernel's bridge does not have.
func (c *Call) showSTP(sw *l2switch.Switch) int {
	tree, ok := sw.Tree()
	if !ok {
		return c.say1(sw.Name()+" does not speak the spanning tree protocol; enable it with \"stp: true\"", 1)
	}
	c.Printf("%s\n bridge id\t\t%s\n designated root\t%s\n root port\t\t%4d\t\t\tpath cost\t\t%4d\n", sw.Name(), tree.ID, tree.Root, tree.RootPort, tree.RootCost)
	c.Printf(" max age\t\t%7.2f\t\t\thello time\t\t%7.2f\n forward delay\t\t%7.2f\t\t\ttopology changes\t%4d\n\n",
		tree.Times.MaxAge.Seconds(), tree.Times.Hello.Seconds(), tree.Times.Forward.Seconds(), tree.TopologyChanges)
	for _, p := range tree.Ports {
		d := p.Designated
		c.Printf("\n%s (%d)\n port id\t\t%04x\t\t\tstate\t\t%15s\n role\t\t%12s\t\t\tpath cost\t\t%4d\n designated root\t%s\tdesignated cost\t\t%4d\n designated bridge\t%s\tdesignated port\t\t%04x\n",
			p.Name, p.Number, p.ID, kernelState(p.PortInfo), p.Role, p.Cost, d.Root, d.Cost, d.Bridge, d.Port)
	}
	return 0
}
