package nat

import (
	"fmt"
	"strings"
)

// NFTable is a table as nft lists those that iptables-nft keeps.
type NFTable struct {
	Name   string
	Chains []NFChain
}

// NFChain is a chain of an NFTable.
type NFChain struct {
	Name  string
	Base  string // what it is hooked to, with its policy; empty: rules jump here
	Rules []string
}

// nftOrder is the order in which Docker comes to the tables, which is the one that nft lists them in.
var nftOrder = [numTables]tableID{tableNAT, tableFilter, tableMangle, tableRaw}

// NFTables returns the tables that were ever named in the words of nft 1.0, safe to call at once with all else. A built-in
// chain is there once it has a rule or a policy other than accept, as iptables-nft makes it.
func (n *Netfilter) NFTables() []NFTable {
	n.ruleMu.Lock()
	defer n.ruleMu.Unlock()
	var all []NFTable
	for _, id := range nftOrder {
		t := n.tables[id].Load()
		if t == nil {
			continue
		}
		nt := NFTable{Name: t.name}
		for _, c := range t.sorted() {
			if c.builtIn && len(c.list()) == 0 && !c.drop.Load() {
				continue
			}
			nc := NFChain{Name: c.name}
			if c.builtIn {
				nc.Base = c.nftBase()
			}
			for _, r := range c.list() {
				nc.Rules = append(nc.Rules, r.nft())
			}
			nt.Chains = append(nt.Chains, nc)
		}
		all = append(all, nt)
	}
	return all
}

// nftBase is the first line of a built-in chain. nft has names for the priorities of nat where they are the usual ones.
func (c *chain) nftBase() string {
	kind, priority := "filter", c.table.name
	switch {
	case c.table.id == tableNAT:
		kind = "nat"
		priority = map[Hook]string{Prerouting: "dstnat", Input: "100", Output: "-100", Postrouting: "srcnat"}[c.hook]
	case c.table.id == tableMangle && c.hook == Output:
		kind = "route"
	}
	return fmt.Sprintf("type %s hook %s priority %s; policy %s;", kind, strings.ToLower(c.name), priority, strings.ToLower(c.policyName()))
}

// nftIs is the operator before a value.
func nftIs(not bool) string {
	if not {
		return " != "
	}
	return " "
}

// nft is the rule in the words of nft.
func (r *rule) nft() string {
	var w []string
	for _, d := range []struct {
		name string
		dev  device
	}{{"iifname", r.in}, {"oifname", r.out}} {
		if d.dev.set {
			w = append(w, d.name+nftIs(d.dev.not)+`"`+strings.TrimSuffix(d.dev.text(), "+")+map[bool]string{true: "*"}[d.dev.wild]+`"`)
		}
	}
	if r.proto != 0 && !r.nftImplied() {
		w = append(w, "meta l4proto"+nftIs(r.notProto)+nftProto(r.proto))
	}
	w = nftPrefix(w, "ip saddr", r.src)
	w = nftPrefix(w, "ip daddr", r.dst)
	if r.frag != 0 {
		w = append(w, "ip frag-off & 8191 "+map[bool]string{true: "!=", false: "=="}[r.frag > 0]+" 0")
	}
	comment := ""
	for i := range r.matches {
		m := &r.matches[i]
		if m.kind == matchComment {
			comment = ` comment "` + m.text + `"`
			continue
		}
		w = m.nft(w, nftProto(r.proto))
	}
	w = append(w, fmt.Sprintf("counter packets %d bytes %d", r.count.packets.Load(), r.count.bytes.Load()))
	if t := r.target.nft(); t != "" {
		w = append(w, t)
	}
	return strings.Join(w, " ") + comment
}

// nftProto is a protocol's name in nft, which knows one more.
func nftProto(num uint8) string {
	if num == 89 {
		return "ospf"
	}
	return protoName(num)
}

// nftImplied tells whether a match on ports or flags goes without saying the protocol.
func (r *rule) nftImplied() bool {
	for i := range r.matches {
		if m := &r.matches[i]; m.sport.set || m.dport.set || m.flags {
			return true
		}
	}
	return false
}

func nftPrefix(w []string, field string, p prefix) []string {
	if p.mask == 0 && !p.not {
		return w
	}
	switch text := maskText(p.mask); {
	case text == "32":
		return append(w, field+nftIs(p.not)+addr4(p.addr).String())
	case strings.Contains(text, "."):
		return append(w, fmt.Sprintf("%s & %s %s %s", field, text, map[bool]string{true: "!=", false: "=="}[p.not], addr4(p.addr)))
	default:
		return append(w, field+nftIs(p.not)+addr4(p.addr).String()+"/"+text)
	}
}

func nftPorts(w []string, field string, r portRange) []string {
	if !r.set {
		return w
	}
	return append(w, field+nftIs(r.not)+strings.Replace(r.text(true), ":", "-", 1))
}

// nftICMP are nft's names of ICMP's types.
var nftICMP = map[uint32]string{0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect", 8: "echo-request",
	9: "router-advertisement", 10: "router-solicitation", 11: "time-exceeded", 12: "parameter-problem", 13: "timestamp-request",
	14: "timestamp-reply", 15: "info-request", 16: "info-reply", 17: "address-mask-request", 18: "address-mask-reply"}

// nft appends the match in the words of nft; what nft has none for is an xt match.
func (m *match) nft(w []string, proto string) []string {
	switch m.kind {
	case matchTCP, matchUDP:
		if m.flags {
			w = append(w, "tcp flags"+nftIs(m.not)+nftFlags(m.value)+" / "+nftFlags(m.mask))
		}
		return nftPorts(nftPorts(w, proto+" sport", m.sport), proto+" dport", m.dport)
	case matchICMP:
		if m.value == anyICMP {
			return w
		}
		if name := nftICMP[m.value]; m.mask == 0x00ff && name != "" {
			return append(w, "icmp type"+nftIs(m.not)+name)
		}
	case matchConntrack, matchState:
		if s := strings.ToLower(ctStateNames(m.states)); s == "snat" || s == "dnat" {
			return append(w, "ct status"+nftIs(m.not)+s)
		} else if m.states&(stateSNAT|stateDNAT) == 0 {
			return append(w, "ct state "+map[bool]string{true: "! "}[m.not]+s)
		}
	case matchAddrtype:
		src, okSrc := m.src.nft("fib saddr type")
		dst, okDst := m.dst.nft("fib daddr type")
		if okSrc && okDst {
			return append(append(w, src...), dst...)
		}
	case matchMark:
		if m.mask == 0xffffffff {
			return append(w, fmt.Sprintf("meta mark%s0x%08x", nftIs(m.not), m.value))
		}
		return append(w, fmt.Sprintf("meta mark & 0x%08x %s 0x%08x", m.mask, map[bool]string{true: "!=", false: "=="}[m.not], m.value))
	case matchMultiport:
		if m.which == 's' || m.which == 'd' {
			list := strings.NewReplacer(",", ", ", ":", "-").Replace(m.listText(true))
			return append(w, proto+" "+string(rune(m.which))+"port"+nftIs(m.not)+"{ "+list+" }")
		}
	}
	return append(w, `xt match "`+matchNames[m.kind]+`"`)
}

func nftFlags(bits uint32) string {
	if bits == 0 {
		return "0x0"
	}
	return strings.ToLower(tcpFlagNames(bits))
}

// nft returns the match on a single type, or none; not ok: on several, which nft does not show.
func (s typeSet) nft(field string) (w []string, ok bool) {
	if s.types == 0 {
		return nil, true
	}
	name := strings.ToLower(bitNames(addrTypes, uint32(s.types)))
	return []string{field + nftIs(s.not) + name}, !strings.Contains(name, ",")
}

// nft is what the rule does, in the words of nft.
func (t *target) nft() string {
	if t.jump != nil {
		return map[bool]string{true: "goto ", false: "jump "}[t.goTo] + t.name
	}
	switch t.kind {
	case targetReject:
		return "reject" + map[bool]string{true: t.nftReject()}[t.reject != RejectPort]
	case targetMark:
		if t.mask == 0xffffffff {
			return fmt.Sprintf("meta mark set 0x%x", t.mark)
		}
		return fmt.Sprintf("meta mark set mark and 0x%x xor 0x%x", ^t.mask, t.mark)
	case targetLog:
		s := "log"
		if t.prefix != "" {
			s += ` prefix "` + t.prefix + `"`
		}
		if t.level != 4 && int(t.level) < len(logLevels) {
			s += " level " + strings.Replace(logLevels[t.level], "error", "err", 1)
		}
		return s
	case targetNotrack:
		return "notrack"
	case targetDNAT, targetSNAT, targetMasquerade, targetRedirect:
		return t.nftNAT()
	}
	return strings.ToLower(t.name)
}

func (t *target) nftReject() string {
	if t.reject == RejectTCPReset {
		return " with tcp reset"
	}
	return " with icmp type " + strings.Replace(strings.TrimPrefix(t.reject.String(), "icmp-"), "proto-", "prot-", 1)
}

func (t *target) nftNAT() string {
	s := strings.ToLower(t.name)
	switch {
	case t.kind == targetDNAT || t.kind == targetSNAT:
		s += " to " + t.to.text()
	case t.to.ports:
		s += " to :" + t.to.portText()
	}
	if t.to.random {
		s += " random"
	}
	if t.persistent {
		s += " persistent"
	}
	return s
}
