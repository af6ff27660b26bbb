package cnm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/netsim-lab/netsim/lb"
	"github.com/netsim-lab/netsim/nat"
)

// prepare sets up what does not depend on other services: the alias of the endpoint's own one (S8), and in a task on the
// network ingress the way from published to target ports (R2, R8).
func (b *balanced) prepare() error {
	svc := b.ep.cfg.Service
	if svc != nil && svc.VIP.IsValid() && !b.ep.network.balanced() {
		if err := b.ep.Interface().AddAddr(netip.PrefixFrom(svc.VIP, 32)); err != nil {
			return err
		}
		b.vip = svc.VIP
	}
	if svc != nil && b.mesh == nil && b.ep.network.cfg.Ingress {
		return b.addOwn(redirectRules(b.ep.IP(), svc.IngressPorts)...)
	}
	return nil
}

func (b *balanced) addOwn(rules ...rule) error {
	if err := addRules(b.ns.Netfilter(), rules); err != nil {
		return err
	}
	b.own = append(b.own, rules...)
	return nil
}

// shareSource has balanced connections come from the endpoint's address (S10), from the first service on.
func (b *balanced) shareSource() error {
	if b.snat {
		return nil
	}
	b.snat = true
	return b.addOwn(rule{table: "nat", chain: "POSTROUTING",
		spec: fmt.Sprintf("-d %s -m ipvs --ipvs -j SNAT --to-source %s", b.ep.network.subnet, b.ep.IP())})
}

// clear undoes prepare.
func (b *balanced) clear() error {
	var errs []error
	if i := b.ep.Interface(); i != nil && b.vip.IsValid() {
		errs = append(errs, i.RemoveAddr(netip.PrefixFrom(b.vip, 32)))
	}
	errs = append(errs, deleteRules(b.ns.Netfilter(), b.own))
	b.vip, b.own, b.snat = netip.Addr{}, nil, false
	return errors.Join(errs...)
}

// redirectRules lead published ports to target ports in a task, and keep everything else out of its ingress address.
func redirectRules(ip netip.Addr, ports []PortConfig) []rule {
	if len(ports) == 0 {
		return nil
	}
	var rules []rule
	for _, p := range ports {
		rules = append(rules,
			rule{table: "nat", chain: "PREROUTING", spec: fmt.Sprintf("-d %s -p %s --dport %d -j REDIRECT --to-ports %d", ip, p.Proto, p.Published, p.Target)},
			rule{table: "filter", chain: "INPUT", insert: true,
				spec: fmt.Sprintf("-d %s -p %s --dport %d -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", ip, p.Proto, p.Target)},
			rule{table: "filter", chain: "OUTPUT", insert: true,
				spec: fmt.Sprintf("-s %s -p %s --sport %d -m conntrack --ctstate ESTABLISHED -j ACCEPT", ip, p.Proto, p.Target)})
	}
	for _, proto := range []string{"udp", "tcp"} {
		rules = append(rules,
			rule{table: "filter", chain: "INPUT", spec: fmt.Sprintf("-d %s -p %s -j DROP", ip, proto)},
			rule{table: "filter", chain: "OUTPUT", spec: fmt.Sprintf("-s %s -p %s -j DROP", ip, proto)})
	}
	return rules
}

// poolRules are the rules of one service in a sandbox that balances: for what it sends itself (S7, S10), or for what comes in
// (S9); in that of the routing mesh published ports are marked as well (R2).
func (b *balanced) poolRules(p *balancedPool) []rule {
	var rules []rule
	if b.mesh != nil {
		for _, port := range p.ports {
			rules = append(rules, rule{table: "mangle", chain: "PREROUTING", spec: fmt.Sprintf("-p %s --dport %d -j MARK --set-mark %#x", port.Proto, port.Published, p.mark)})
		}
	}
	if b.holds() {
		return append(rules, rule{table: "mangle", chain: "INPUT", spec: fmt.Sprintf("-d %s -j MARK --set-mark %#x", p.vip, p.mark)})
	}
	return append(rules,
		rule{table: "mangle", chain: "OUTPUT", spec: fmt.Sprintf("-d %s -j MARK --set-mark %#x", p.vip, p.mark)},
		rule{table: "nat", chain: "OUTPUT", spec: fmt.Sprintf("-d %s -p icmp -m icmp --icmp-type 8 -j DNAT --to-destination 127.0.0.1", p.vip)})
}

// add sets up a service with all that stand behind it.
func (b *balanced) add(p *balancedPool) error {
	b.pools[p] = true
	if b.mesh != nil {
		if err := b.mesh.open(p.ports); err != nil {
			return err
		}
	}
	if err := errors.Join(b.shareSource(), addRules(b.ns.Netfilter(), b.poolRules(p))); err != nil {
		return err
	}
	if b.holds() && !b.shares(p) {
		if err := b.ep.Interface().AddAddr(netip.PrefixFrom(p.vip, 32)); err != nil {
			return err
		}
	}
	ipvs, key := b.ns.IPVS(), lb.Mark(p.mark)
	if err := ipvs.AddService(key, lb.RoundRobin); err != nil {
		return err
	}
	var errs []error
	for i, to := range p.backends {
		if slices.ContainsFunc(p.backends[:i], func(b backend) bool { return b.ip == to.ip }) {
			continue
		}
		weight, _ := p.weight(to.ip)
		errs = append(errs, ipvs.AddDestination(key, netip.AddrPortFrom(to.ip, 0), weight))
	}
	return errors.Join(errs...)
}

// shares tells whether another service has the virtual address of one: while tasks of one that was removed still end, the next may be
// given its address, and one whose published ports change is two.
func (b *balanced) shares(p *balancedPool) bool {
	for other := range b.pools {
		if other != p && other.vip == p.vip {
			return true
		}
	}
	return false
}

// remove undoes add.
func (b *balanced) remove(p *balancedPool) error {
	delete(b.pools, p)
	errs := []error{b.ns.IPVS().DelService(lb.Mark(p.mark)), deleteRules(b.ns.Netfilter(), b.poolRules(p))}
	if i := b.ep.Interface(); i != nil && b.holds() && !b.shares(p) {
		errs = append(errs, i.RemoveAddr(netip.PrefixFrom(p.vip, 32)))
	}
	if b.mesh != nil {
		errs = append(errs, b.mesh.close(p.ports))
	}
	return errors.Join(errs...)
}

// chainRules are the rules of a chain of the host and what leads into it.
type chainRules struct {
	table, chain string
	rules        []rule
}

func (c chainRules) add(nf *nat.Netfilter) error {
	if err := nf.NewChain(c.table, c.chain); err != nil {
		return err
	}
	return addRules(nf, c.rules)
}

func (c chainRules) remove(nf *nat.Netfilter) error {
	err := deleteRules(nf, c.rules)
	_, flush := nf.Command([]string{"-t", c.table, "-F", c.chain})
	_, gone := nf.Command([]string{"-t", c.table, "-X", c.chain})
	return errors.Join(err, flush, gone)
}
