package cnm

import (
	"errors"
	"fmt"
)

// The host's chains.
const (
	chainDocker    = "DOCKER"
	chainIsolation = "DOCKER-ISOLATION"
	chainIngress   = "DOCKER-INGRESS"
)

// setupChains makes the chains that all networks share (B13, B15, B16).
func (d *bridgeDriver) setupChains() error {
	if err := d.nf.NewChain("nat", chainDocker); err != nil {
		return err
	}
	if _, err := d.nf.Command([]string{"-P", "FORWARD", "DROP"}); err != nil { // B8
		return err
	}
	output := "! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER"
	if d.c.cfg.NoUserlandProxy {
		output = "-m addrtype --dst-type LOCAL -j DOCKER"
	}
	err := addRules(d.nf, []rule{
		{table: "nat", chain: "PREROUTING", spec: "-m addrtype --dst-type LOCAL -j DOCKER"},
		{table: "nat", chain: "OUTPUT", spec: output},
	})
	if err != nil {
		return err
	}
	if d.c.cfg.Modern {
		return d.modernChains()
	}
	if err := errors.Join(d.nf.NewChain("filter", chainDocker), d.nf.NewChain("filter", chainIsolation)); err != nil {
		return err
	}
	return addRules(d.nf, []rule{
		{table: "filter", chain: chainIsolation, spec: "-j RETURN"},
		{table: "filter", chain: "FORWARD", spec: "-j " + chainIsolation, insert: true},
	})
}

// addNetworkRules adds the rules of a new network. The jumps that come before those of all networks go back to the top.
func (d *bridgeDriver) addNetworkRules(b *bridge) error {
	if err := addRules(d.nf, d.networkRules(b)); err != nil {
		return err
	}
	if d.c.cfg.Modern {
		return nil // each has its place
	}
	for _, jump := range []string{"-j " + chainIsolation, "-j " + chainIngress} {
		if d.nf.Delete("filter", "FORWARD", jump) != nil {
			continue // a host outside a swarm has no such chain
		}
		if err := d.nf.Insert("filter", "FORWARD", jump); err != nil {
			return err
		}
	}
	return nil
}

func (d *bridgeDriver) deleteNetworkRules(b *bridge) error {
	return deleteRules(d.nf, d.networkRules(b))
}

// networkRules are the rules of a network in the order in which they are added; most go to the top of their chain.
// The caller holds mu.
func (d *bridgeDriver) networkRules(b *bridge) []rule {
	if b.internal && d.c.cfg.Modern {
		return b.modernRules()
	}
	if b.internal {
		return append(b.internalRules(), b.iccRule())
	}
	var rules []rule
	top := func(table, chain, spec string) {
		rules = append(rules, rule{table: table, chain: chain, spec: spec, insert: true})
	}
	if b.opts.masq && b.opts.mode != gatewayRouted {
		target := "MASQUERADE"
		if b.opts.snat.IsValid() {
			target = "SNAT --to-source " + b.opts.snat.String()
		}
		top("nat", "POSTROUTING", fmt.Sprintf("-s %s ! -o %s -j %s", b.subnet, b.name, target))
		if d.c.cfg.NoUserlandProxy {
			top("nat", "POSTROUTING", fmt.Sprintf("-o %s -m addrtype --src-type LOCAL -j MASQUERADE", b.name))
		} else {
			top("nat", chainDocker, fmt.Sprintf("-i %s -j RETURN", b.name))
		}
	}
	if d.c.cfg.Modern {
		return append(rules, b.modernRules()...)
	}
	if b.opts.mode == gatewayUnprotected {
		rules = append(rules, rule{table: "filter", chain: chainDocker, spec: fmt.Sprintf("! -i %s -o %s -j ACCEPT", b.name, b.name)})
	}
	rules = append(rules, b.iccRule())
	top("filter", "FORWARD", fmt.Sprintf("-i %s ! -o %s -j ACCEPT", b.name, b.name))
	top("filter", "FORWARD", fmt.Sprintf("-o %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", b.name))
	top("filter", "FORWARD", fmt.Sprintf("-o %s -j %s", b.name, chainDocker))
	for _, o := range d.networks {
		if o != b && !o.internal {
			top("filter", chainIsolation, fmt.Sprintf("-i %s -o %s -j DROP", b.name, o.name))
			top("filter", chainIsolation, fmt.Sprintf("-i %s -o %s -j DROP", o.name, b.name))
		}
	}
	return rules
}

// iccRule decides on what goes from container to container (B13).
func (b *bridge) iccRule() rule {
	r := rule{table: "filter", chain: "FORWARD", spec: fmt.Sprintf("-i %s -o %s -j ", b.name, b.name), insert: b.opts.icc}
	if b.opts.icc {
		r.spec += "ACCEPT"
	} else {
		r.spec += "DROP"
	}
	return r
}

// internalRules keep what is not of its subnet away from an internal network (B15).
func (b *bridge) internalRules() []rule {
	return []rule{
		{table: "filter", chain: chainIsolation, spec: fmt.Sprintf("! -d %s -i %s -j DROP", b.subnet, b.name), insert: true},
		{table: "filter", chain: chainIsolation, spec: fmt.Sprintf("! -s %s -o %s -j DROP", b.subnet, b.name), insert: true},
	}
}
