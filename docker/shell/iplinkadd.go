package shell

import "github.com/netsim-lab/netsim/netns"

// linkAdd is ip link add NAME type bridge|dummy, and ip link add link DEV name NAME type vlan id N, or type macvlan or
// ipvlan with a mode, and ip link add NAME type veth peer name NAME, with the other end in a namespace that ip netns lists.
func (i *ipCall) linkAdd() error {
	peer := i.vethPeer()
	got, err := i.pairs("name", "name", "type", "dev", "link", "id", "mode", "address")
	if err != nil {
		return err
	}
	name := got["name"]
	if name == "" {
		name = got["dev"]
	}
	if _, ok := i.ns.Interface(name); ok {
		return kernelSays("File exists")
	}
	cfg := netns.InterfaceConfig{Name: name, Down: true}
	if peer != nil && got["type"] != "veth" {
		return &errIP{"Error: either \"peer\" is duplicate, or \"peer\" is a garbage.", 255}
	}
	switch got["type"] {
	case "bridge":
		_, err = i.ns.AddBridge(cfg)
	case "dummy":
		_, err = i.ns.AddDummy(cfg)
	case "veth":
		return i.linkAddVeth(cfg, peer)
	case "vlan", "macvlan", "ipvlan":
		return i.linkAddUpper(cfg, got)
	default:
		return kernelSays("Operation not supported")
	}
	if err != nil {
		return kernelSays("Invalid argument")
	}
	return nil
}

// linkAddUpper adds an interface on top of another.
func (i *ipCall) linkAddUpper(cfg netns.InterfaceConfig, got map[string]string) error {
	lower, ok := i.ns.Interface(got["link"])
	if !ok {
		return bad("Cannot find device \"" + got["link"] + "\"")
	}
	var err error
	switch got["type"] {
	case "vlan":
		var id int
		if id, err = number(got["id"], 0, 4095); err != nil {
			return bad("Error: argument \"" + got["id"] + "\" is wrong: id is invalid")
		}
		_, err = i.ns.AddVLAN(lower, uint16(id), cfg)
	case "macvlan":
		mode, known := netns.MacvlanVEPA, true // Linux's choice where none is named
		if m := got["mode"]; m != "" {
			mode, known = netns.ParseMacvlanMode(m)
		}
		if !known {
			return bad("Error: argument of \"mode\" must be \"private\", \"vepa\", \"bridge\", \"passthru\" or \"source\", not \"" + got["mode"] + "\"")
		}
		_, err = i.ns.AddMacvlan(lower, mode, cfg)
	default:
		mode, known := netns.IPVlanL3, true // Linux's choice where none is named
		if m := got["mode"]; m != "" {
			mode, known = netns.ParseIPVlanMode(m)
		}
		if !known {
			return bad("Error: argument of \"mode\" must be either \"l2\", \"l3\" or \"l3s\"")
		}
		_, err = i.ns.AddIPVlan(lower, mode, cfg)
	}
	if err != nil {
		return kernelSays("Device or resource busy")
	}
	return nil
}
