package nat

import (
	"fmt"
	"strings"
)

// build makes the rules of the command line: one for each pair of a source and a destination. ruleMu is held.
func (p *parser) build(t *table) ([]*rule, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := p.link(t); err != nil {
		return nil, err
	}
	any := []prefix{{}}
	srcs, dsts := p.srcs, p.dsts
	if srcs == nil {
		srcs = any
	}
	if dsts == nil {
		dsts = any
	}
	b := p.r
	var rules []*rule
	for _, s := range srcs {
		for _, d := range dsts {
			r := &rule{src: s, dst: d, in: b.in, out: b.out, proto: b.proto, notProto: b.notProto, frag: b.frag, matches: b.matches, target: b.target}
			r.count.packets.Store(p.packets)
			r.count.bytes.Store(p.bytes)
			r.finish()
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// link finds the chain that the rule jumps to.
func (p *parser) link(t *table) error {
	target := &p.r.target
	if target.kind != targetJump {
		return nil
	}
	target.jump = t.chains[target.name]
	if target.jump == nil || target.jump.builtIn {
		if target.goTo {
			return errNoChain
		}
		return usage("Couldn't load target `%s':No such file or directory\n", target.name)
	}
	return nil
}

// check is for what can only be told when all of the command line was read.
func (p *parser) check() error {
	r := p.r
	if r.out.set && (p.chain == "PREROUTING" || p.chain == "INPUT") {
		return usage("Can't use -o with %s\n", p.chain)
	}
	if r.in.set && (p.chain == "POSTROUTING" || p.chain == "OUTPUT") {
		return usage("Can't use -i with %s\n", p.chain)
	}
	for i := range r.matches {
		if err := p.checkMatch(&r.matches[i]); err != nil {
			return err
		}
	}
	t := &r.target
	switch {
	case t.kind == targetDNAT && t.level != marked:
		return usage("DNAT: option \"--to-destination\" must be specified\n")
	case t.kind == targetSNAT && t.level != marked:
		return usage("SNAT: option \"--to-source\" must be specified\n")
	case t.kind == targetMark && t.level != marked:
		return usage("MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required")
	case t.kind == targetNotrack && t.name == "CT" && t.mask == 0:
		return usage("CT: --notrack is the only option that is supported, and required")
	case t.kind == targetReject && t.reject == RejectTCPReset && (r.proto != 6 || r.notProto):
		return badArgument()
	}
	return nil
}

func (p *parser) checkMatch(m *match) error {
	protos := map[matchKind]uint8{matchTCP: 6, matchUDP: 17, matchICMP: 1}
	if want, ok := protos[m.kind]; ok && (p.r.proto != want || p.r.notProto) {
		return badArgument()
	}
	switch {
	case (m.kind == matchConntrack || m.kind == matchState) && m.states == 0:
		if m.kind == matchState {
			return usage("You must specify \"--state\"")
		}
		return usage("conntrack: At least one option is required")
	case m.kind == matchAddrtype && m.src.types|m.dst.types == 0:
		return usage("addrtype: you must specify --src-type or --dst-type")
	case m.kind == matchMark && m.which == 0:
		return usage("mark: option \"--mark\" must be specified")
	case m.kind == matchIPVS && m.which == 0:
		return usage("IPVS: At least one option is required")
	case m.kind == matchComment && m.which == 0:
		return usage("comment: option \"--comment\" must be specified")
	case m.kind == matchMultiport && m.list == nil:
		return usage("multiport expection an option")
	}
	return nil
}

// saveChains prints chains as -S does; rule number only is all of it, if that is not 0.
func saveChains(chains []*chain, only int, counters bool) string {
	var b strings.Builder
	for _, c := range chains {
		switch {
		case only > 0:
		case !c.builtIn:
			fmt.Fprintf(&b, "-N %s\n", c.name)
		case counters:
			fmt.Fprintf(&b, "-P %s %s -c %d %d\n", c.name, c.policyName(), c.policy.packets.Load(), c.policy.bytes.Load())
		default:
			fmt.Fprintf(&b, "-P %s %s\n", c.name, c.policyName())
		}
	}
	for _, c := range chains {
		for i, r := range c.list() {
			if only == 0 || only == i+1 {
				saveRule(&b, c, r, counters)
			}
		}
	}
	return b.String()
}

func saveRule(b *strings.Builder, c *chain, r *rule, counters bool) {
	b.WriteString("-A " + c.name + r.head)
	if counters {
		fmt.Fprintf(b, " -c %d %d", r.count.packets.Load(), r.count.bytes.Load())
	}
	r.target.save(b)
	b.WriteByte('\n')
}

// Save prints every table that was ever named as iptables-save does, without its comments.
func (n *Netfilter) Save(counters bool) string {
	n.ruleMu.Lock()
	defer n.ruleMu.Unlock()
	var b strings.Builder
	for id := range n.tables {
		t := n.tables[id].Load()
		if t == nil {
			continue
		}
		fmt.Fprintf(&b, "*%s\n", t.name)
		chains := t.sorted()
		for _, c := range chains {
			policy := "-"
			if c.builtIn {
				policy = c.policyName()
			}
			fmt.Fprintf(&b, ":%s %s [%d:%d]\n", c.name, policy, c.policy.packets.Load(), c.policy.bytes.Load())
		}
		for _, c := range chains {
			for _, r := range c.list() {
				if counters {
					fmt.Fprintf(&b, "[%d:%d] ", r.count.packets.Load(), r.count.bytes.Load())
				}
				saveRule(&b, c, r, false)
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}
