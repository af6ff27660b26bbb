package shell

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// tunnelOf returns the device behind a VXLAN interface.
func tunnelOf(i *netns.Interface) (*vxlan.Device, bool) {
	d, ok := i.Device().(*vxlan.Device)
	return d, ok && i.Kind() == netns.KindVXLAN && d != nil
}

// bridges returns the bridges of a namespace by name.
func bridges(ns *netns.Namespace) []*netns.Interface {
	var all []*netns.Interface
	for _, i := range ns.Interfaces() {
		if i.Bridge() != nil {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b *netns.Interface) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

// runBrctl is brctl: show, showmacs, addbr, delbr, addif, delif.
func runBrctl(_ context.Context, c *Call) int {
	if c.Sys.Switch != nil {
		return c.switchTool(c.Sys.Switch)
	}
	args := c.Args[1:]
	if len(args) == 0 {
		return c.usage(1)
	}
	want := map[string]int{"show": 0, "showmacs": 1, "addbr": 1, "delbr": 1, "addif": 2, "delif": 2}
	n, ok := want[args[0]]
	switch {
	case !ok:
		return c.badBrctl(args[0], "never heard of command ["+args[0]+"]\n"+strings.TrimSpace(c.usageOf("brctl")))
	case len(args)-1 < n:
		return c.badBrctl("", "Incorrect number of arguments for command\nUsage: brctl "+args[0]+map[int]string{1: " <bridge>", 2: " <bridge> <device>"}[n])
	case args[0] == "show":
		return c.brctlShow(args[1:])
	case args[0] == "addbr":
		if _, err := c.Sys.NS.AddBridge(netns.InterfaceConfig{Name: args[1]}); err != nil {
			return c.say1("device "+args[1]+" already exists; can't create bridge with the same name", 1)
		}
		return 0
	}
	br, ok := c.Sys.NS.Interface(args[1])
	if !ok || br.Bridge() == nil {
		return c.say1("bridge "+args[1]+" does not exist!", 1)
	}
	switch args[0] {
	case "showmacs":
		return c.showMACs(br.Bridge())
	case "delbr":
		if err := c.Sys.NS.RemoveInterface(args[1]); err != nil {
			return c.say1("bridge "+args[1]+" is still up; can't delete it", 1)
		}
		return 0
	}
	port, ok := c.Sys.NS.Interface(args[2])
	if !ok {
		return c.say1("interface "+args[2]+" does not exist!", 1)
	}
	return c.brctlPort(args[0], br, port)
}

// badBrctl says what is wrong with a command line; the word that is no command is busybox's business.
func (c *Call) badBrctl(word, text string) int {
	switch {
	case c.busybox() && word != "":
		return c.Errorf("invalid argument '%s' to 'brctl'", word)
	case c.busybox():
		return c.usage(1)
	}
	return c.say1(text, 1)
}

func (c *Call) brctlPort(verb string, br, port *netns.Interface) int {
	if verb == "delif" {
		if port.Master() != br {
			return c.say1("device "+port.Name()+" is not a slave of "+br.Name(), 1)
		}
		br = nil
	} else if port.Master() != nil {
		return c.say1("device "+port.Name()+" is already a member of a bridge; can't enslave it to bridge "+br.Name()+".", 1)
	}
	if err := port.SetMaster(br); err != nil {
		return c.say1("can't change the bridge of "+port.Name()+": Invalid argument", 1)
	}
	return 0
}

// brctlShow lists bridges with their ports.
func (c *Call) brctlShow(names []string) int {
	c.Printf("bridge name\tbridge id\t\tSTP enabled\tinterfaces\n")
	code := 0
	for _, name := range names {
		if i, ok := c.Sys.NS.Interface(name); !ok || i.Bridge() == nil {
			c.Printf("%s\t\tcan't get info No such device\n", name)
			code = 1
		}
	}
	for _, br := range bridges(c.Sys.NS) {
		if len(names) > 0 && !slices.Contains(names, br.Name()) {
			continue
		}
		tabs := "\t\t"
		if len(br.Name()) >= 8 {
			tabs = "\t"
		}
		c.Printf("%s%s8000.%s\tno\t\t%s\n", br.Name(), tabs, strings.ReplaceAll(br.MAC().String(), ":", ""), strings.Join(portNames(br), "\n\t\t\t\t\t\t\t"))
	}
	return code
}

func portNames(br *netns.Interface) []string {
	var names []string
	for _, p := range br.Ports() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	return names
}

func (c *Call) showMACs(sw *l2switch.Switch) int {
	c.Printf("port no\tmac addr\t\tis local?\tageing timer\n")
	for _, e := range sw.Entries() {
		if e.Local && (e.Number == 0 || e.VLAN != 0) { // the bridge's own address, and second entries of its ports'
			continue
		}
		local := "no"
		if e.Local {
			local = "yes"
		}
		c.Printf("%3d\t%s\t%s\t\t%4d.%02d\n", e.Number, e.MAC, local, int(e.Age/time.Second), int(e.Age%time.Second/(10*time.Millisecond)))
	}
	return 0
}

// runBridge is bridge: fdb show, link show, vlan show.
func runBridge(_ context.Context, c *Call) int {
	if c.Sys.Switch != nil {
		return c.switchTool(c.Sys.Switch)
	}
	args := c.Args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if !slices.Contains(strings.Fields("-s -statistics -d -details -o -oneline -c -compressvlans -color -t -timestamp"), args[0]) {
			return c.say1("Option \""+args[0]+"\" is unknown, try \"bridge help\".", 255)
		}
		args = args[1:]
	}
	if len(args) == 0 || args[0] == "help" {
		return c.usage(255)
	}
	if o := args[0]; o != "fdb" && !abbreviates(o, "link") && !abbreviates(o, "vlan") {
		return c.say1("Object \""+o+"\" is unknown, try \"bridge help\".", 255)
	}
	i := &ipCall{Call: c, ns: c.Sys.NS, args: args[1:]}
	if verb := i.verb(); verb != "show" && verb != "list" && verb != "ls" {
		if args[0] != "fdb" {
			return c.say1("Command \""+verb+"\" is unknown, try \"bridge "+args[0]+" help\".", 255)
		}
		return c.fdbChange(i, verb)
	}
	got, err := i.pairs("dev", "dev", "br", "brport")
	if err != nil {
		return c.say1(err.Error(), 255)
	}
	if port := got["brport"]; port != "" {
		got["dev"] = port
	}
	for _, name := range []string{got["dev"], got["br"]} {
		if _, ok := c.Sys.NS.Interface(name); name != "" && !ok {
			return c.say1("Cannot find device \""+name+"\"", 255)
		}
	}
	switch {
	case args[0] == "fdb":
		c.showFDB(got["dev"], got["br"])
	case abbreviates(args[0], "link"):
		c.showPorts(got["dev"])
	default:
		c.showVLANs(got["dev"])
	}
	return 0
}

// showFDB lists the group addresses of interfaces, what bridges learned, and what tunnels know of other hosts.
func (c *Call) showFDB(dev, br string) {
	line := func(mac fmt.Stringer, port, rest string) {
		switch {
		case dev == "":
			c.Printf("%s dev %s %s\n", mac, port, rest)
		case dev == port:
			c.Printf("%s %s\n", mac, rest)
		}
	}
	for _, i := range c.Sys.NS.Interfaces() {
		if i.Kind() == netns.KindPhysical && br == "" {
			line(wire.MAC{0x01, 0, 0x5e, 0, 0, 1}, i.Name(), "self permanent")
		}
		if i.Bridge() == nil || br != "" && i.Name() != br {
			continue
		}
		line(wire.MAC{0x33, 0x33, 0, 0, 0, 1}, i.Name(), "self permanent")
		for _, e := range i.Bridge().Entries() {
			rest := "master " + i.Name()
			if e.VLAN != 0 {
				rest = fmt.Sprintf("vlan %d %s", e.VLAN, rest)
			}
			switch {
			case e.Local:
				rest += " permanent"
			case e.Static:
				rest += " static"
			}
			line(e.MAC, e.Port, rest)
		}
	}
	for _, i := range c.Sys.NS.Interfaces() {
		d, ok := tunnelOf(i)
		if m := i.Master(); !ok || br != "" && (m == nil || m.Name() != br) {
			continue
		}
		for _, r := range d.Table().Remotes(time.Now()) {
			_, rest, _ := strings.Cut(r.String(), " ")
			line(r.MAC, i.Name(), rest)
		}
	}
}

// fdbChange is bridge fdb add|append|del MAC dev DEV [dst VTEP].
func (c *Call) fdbChange(i *ipCall, verb string) int {
	if !slices.Contains([]string{"add", "append", "replace", "del", "delete"}, verb) {
		return c.say1("Command \""+verb+"\" is unknown, try \"bridge fdb help\".", 255)
	}
	got, err := i.pairs("mac", "dev", "dst", "vlan")
	if err != nil {
		return c.say1(err.Error(), 255)
	}
	mac, err := wire.ParseMAC(got["mac"])
	dev, ok := c.Sys.NS.Interface(got["dev"])
	switch {
	case err != nil:
		return c.say1("invalid address "+got["mac"], 255)
	case !ok:
		return c.say1("Cannot find device \""+got["dev"]+"\"", 255)
	}
	m := dev.Master()
	if m == nil || got["dst"] != "" {
		return c.say1("RTNETLINK answers: Operation not supported", 2)
	}
	if verb[0] == 'd' {
		err = m.Bridge().RemoveEntry(mac, 0)
	} else {
		err = m.Bridge().AddStatic(dev.Name(), mac, 0)
	}
	if err != nil {
		return c.say1("RTNETLINK answers: No such file or directory", 2)
	}
	return 0
}

func (c *Call) showPorts(dev string) {
	for _, i := range c.Sys.NS.Interfaces() {
		m := i.Master()
		if m == nil || dev != "" && i.Name() != dev {
			continue
		}
		state := "forwarding"
		if !running(i) {
			state = "disabled"
		}
		c.Printf("%d: %s state %s @(null): %s mtu %d master %s state %s priority 32 cost 2 \n", i.Index(), i.Name(), operState(i), linkFlags(i), i.MTU(), m.Name(), state)
	}
}

func (c *Call) showVLANs(dev string) {
	c.Printf("port\tvlan ids\n")
	for _, br := range bridges(c.Sys.NS) {
		for _, p := range br.Bridge().Ports() {
			if dev != "" && p.Name != dev {
				continue
			}
			c.Printf("%s%s\n", p.Name, vlanLines(p.Config))
		}
	}
}
