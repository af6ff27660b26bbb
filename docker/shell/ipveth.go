package shell

import (
	"slices"
	"strconv"

	"github.com/netsim-lab/netsim/netns"
)

// vethPeer takes what says of the other end off the end of the arguments: peer and what follows; nil: nothing does.
func (i *ipCall) vethPeer() []string {
	at := slices.Index(i.args, "peer")
	if at < 0 {
		return nil
	}
	peer := i.args[at:]
	i.args = i.args[:at]
	return peer
}

// linkAddVeth is ip link add NAME type veth [peer [name] NAME [netns NAMESPACE]].
func (i *ipCall) linkAddVeth(cfg netns.InterfaceConfig, peer []string) error {
	if cfg.Name == "" {
		cfg.Name = freeVeth(i.ns, "")
	}
	other, ns := netns.InterfaceConfig{Down: true}, i.ns
	if len(peer) > 1 {
		got, err := (&ipCall{Call: i.Call, ns: i.ns, args: peer[1:]}).pairs("name", "name", "netns")
		if err != nil {
			return err
		}
		other.Name = got["name"]
		if in := got["netns"]; in != "" {
			var ok bool
			if ns, ok = i.Sys.netns(in); !ok {
				return &errIP{"Error: argument \"" + in + "\" is wrong: Invalid \"netns\" value", 255}
			}
		}
	}
	if other.Name == "" {
		other.Name = freeVeth(ns, cfg.Name)
	}
	if _, taken := ns.Interface(other.Name); taken || ns == i.ns && other.Name == cfg.Name {
		return kernelSays("File exists")
	}
	if _, _, err := netns.NewVethPair(i.ns, cfg, ns, other); err != nil {
		return kernelSays("Invalid argument")
	}
	return nil
}

// freeVeth returns the first of the kernel's names that no interface has, other than one that is about to be made.
func freeVeth(ns *netns.Namespace, but string) string {
	for n := 0; ; n++ {
		name := "veth" + strconv.Itoa(n)
		if _, taken := ns.Interface(name); !taken && name != but {
			return name
		}
	}
}
