package shell

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/netsim-lab/netsim/netns"
)

// address is ip address: show, add, del.
func (i *ipCall) address() error {
	switch verb := i.verb(); {
	case verb == "a", abbreviates(verb, "add"):
		return i.addressChange(true)
	case verb == "d", abbreviates(verb, "delete"):
		return i.addressChange(false)
	case verb == "flush":
		return i.addressFlush()
	case !abbreviates(verb, "show") && !abbreviates(verb, "list") && verb != "ls":
		return i.errUnknown(verb, "address")
	}
	all, err := i.wanted()
	if err != nil {
		return err
	}
	i.shows = true
	for _, dev := range all {
		if i.json {
			i.found = append(i.found, i.linkObject(dev, true))
			continue
		}
		i.showAddresses(dev)
	}
	return nil
}

func (i *ipCall) showAddresses(dev *netns.Interface) {
	addrs := dev.Addrs()
	if i.brief {
		texts := make([]string, len(addrs))
		for n, p := range addrs {
			texts[n] = p.String() + " "
		}
		i.Printf("%-16s %-14s %s\n", linkName(dev), operState(dev), strings.Join(texts, ""))
		return
	}
	if i.four && len(addrs) == 0 {
		return
	}
	if i.oneline {
		for _, p := range addrs {
			i.Printf("%d: %s    %s\\       valid_lft forever preferred_lft forever\n", dev.Index(), dev.Name(), inetText(dev, p))
		}
		return
	}
	lines := []string{i.linkLine(dev, "")}
	if !i.four {
		lines = append(lines, i.linkAddress(dev))
	}
	if i.details {
		lines = append(lines, linkDetails(dev)...)
	}
	for _, p := range addrs {
		lines = append(lines, "    "+inetText(dev, p), "       valid_lft forever preferred_lft forever")
	}
	if i.stats {
		lines = append(lines, statLines(dev)...)
	}
	i.print(lines)
}

// inetText is an address as ip shows it. Only a cable's address has a broadcast address: Docker of the time sets none.
func inetText(dev *netns.Interface, p netip.Prefix) string {
	var b strings.Builder
	fmt.Fprintf(&b, "inet %s", p)
	if hasBroadcast(dev, p) {
		fmt.Fprintf(&b, " brd %s", broadcastAddr(p))
	}
	scope := "global"
	if p.Addr().IsLoopback() {
		scope = "host"
	}
	fmt.Fprintf(&b, " scope %s %s", scope, dev.Name())
	return b.String()
}

func hasBroadcast(dev *netns.Interface, p netip.Prefix) bool {
	return dev.Kind() == netns.KindPhysical && p.Bits() < 31
}

// addressChange is ip addr add|del PREFIX dev DEV.
func (i *ipCall) addressChange(add bool) error {
	got, err := i.pairs("local", "local", "dev", "brd", "broadcast", "scope", "label", "peer")
	if err != nil {
		return err
	}
	if got["local"] == "" {
		return bad("Not enough information: \"dev\" argument is required.")
	}
	p, err := parsePrefix(got["local"])
	if err != nil {
		return err
	}
	if got["dev"] == "" {
		return bad("Not enough information: \"dev\" argument is required.")
	}
	dev, ok := i.ns.Interface(got["dev"])
	if !ok {
		return bad("Cannot find device \"" + got["dev"] + "\"")
	}
	if add {
		if dev.AddAddr(p) != nil {
			return kernelSays("File exists")
		}
		return nil
	}
	if dev.RemoveAddr(p) != nil {
		return kernelSays("Cannot assign requested address")
	}
	return nil
}

func (i *ipCall) addressFlush() error {
	all, err := i.wanted()
	if err != nil {
		return err
	}
	for _, dev := range all {
		for _, p := range dev.Addrs() {
			if err := dev.RemoveAddr(p); err != nil {
				return kernelSays("Cannot assign requested address")
			}
		}
	}
	return nil
}
