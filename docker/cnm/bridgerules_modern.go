package cnm

import (
	"errors"
	"fmt"
)

// The chains of today's engines (B17 to B20).
const (
	chainUser    = "DOCKER-USER"
	chainForward = "DOCKER-FORWARD"
	chainCT      = "DOCKER-CT"
	chainBridge  = "DOCKER-BRIDGE"
	chainStage1  = "DOCKER-ISOLATION-STAGE-1"
	chainStage2  = "DOCKER-ISOLATION-STAGE-2"
)

// forwardChain returns the chain that decides on what the host forwards.
func (c *Controller) forwardChain() string {
	if c.cfg.Modern {
		return chainForward
	}
	return "FORWARD"
}

// modernChains makes the chains that all networks share in today's layout (B17, B18).
func (d *bridgeDriver) modernChains() error {
	var errs []error
	for _, chain := range []string{chainDocker, chainUser, chainForward, chainCT, chainBridge, chainStage1, chainStage2} {
		errs = append(errs, d.nf.NewChain("filter", chain))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return addRules(d.nf, []rule{
		{table: "filter", chain: "FORWARD", spec: "-j " + chainUser},
		{table: "filter", chain: "FORWARD", spec: "-j " + chainForward},
		{table: "filter", chain: chainForward, spec: "-j " + chainCT},
		{table: "filter", chain: chainForward, spec: "-j " + chainStage1},
		{table: "filter", chain: chainForward, spec: "-j " + chainBridge},
	})
}

// modernRules are the filter rules of a network in today's layout (B18, B19).
func (b *bridge) modernRules() []rule {
	var rules []rule
	add := func(chain, format string, args ...any) {
		rules = append(rules, rule{table: "filter", chain: chain, spec: fmt.Sprintf(format, args...)})
	}
	among := "ACCEPT"
	if !b.opts.icc {
		among = "DROP"
	}
	if b.internal {
		add(chainStage1, "! -s %s -o %s -j DROP", b.subnet, b.name)
		add(chainStage1, "! -d %s -i %s -j DROP", b.subnet, b.name)
		add(chainForward, "-i %s -o %s -j %s", b.name, b.name, among)
		return rules
	}
	add(chainCT, "-o %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", b.name)
	add(chainStage1, "-i %s ! -o %s -j %s", b.name, b.name, chainStage2)
	add(chainStage2, "-o %s -j DROP", b.name)
	add(chainBridge, "-o %s -j %s", b.name, chainDocker)
	last := "DROP"
	if b.opts.mode == gatewayUnprotected {
		last = "ACCEPT"
	}
	add(chainDocker, "! -i %s -o %s -j %s", b.name, b.name, last)
	if b.opts.icc {
		add(chainForward, "-i %s -j ACCEPT", b.name)
	} else {
		add(chainForward, "-i %s -o %s -j DROP", b.name, b.name)
		add(chainForward, "-i %s ! -o %s -j ACCEPT", b.name, b.name)
	}
	return rules
}

// directRule keeps others than the bridge from a container's own address (B8, B20).
func (b *bridge) directRule(ep *Endpoint) []rule {
	if !ep.network.c.cfg.Modern || b.internal || b.opts.mode != gatewayNAT {
		return nil
	}
	return []rule{{table: "raw", chain: "PREROUTING", spec: fmt.Sprintf("-d %s ! -i %s -j DROP", ep.IP(), b.name)}}
}
