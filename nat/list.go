package nat

import (
	"fmt"
	"strings"
)

// listing prints chains as iptables -L does.
type listing struct {
	strings.Builder
	verbose, numeric, exact, lines bool
}

// chain prints a chain with its head; rule number only is all of it, if that is not 0.
func (l *listing) chain(c *chain, only int) {
	if only == 0 {
		l.head(c)
	}
	for i, r := range c.list() {
		if only == 0 || i+1 == only {
			l.rule(i+1, r)
		}
	}
}

func (l *listing) head(c *chain) {
	fmt.Fprintf(l, "Chain %s", c.name)
	switch {
	case !c.builtIn:
		fmt.Fprintf(l, " (%d references)\n", c.refs)
	case l.verbose:
		fmt.Fprintf(l, " (policy %s ", c.policyName())
		l.num(c.policy.packets.Load())
		l.WriteString("packets, ")
		l.num(c.policy.bytes.Load())
		l.WriteString("bytes)\n")
	default:
		fmt.Fprintf(l, " (policy %s)\n", c.policyName())
	}
	if l.lines {
		fmt.Fprintf(l, "%-4s ", "num")
	}
	if l.verbose && l.exact {
		fmt.Fprintf(l, "%8s %10s ", "pkts", "bytes")
	} else if l.verbose {
		fmt.Fprintf(l, "%5s %5s ", "pkts", "bytes")
	}
	fmt.Fprintf(l, "%-9s  prot opt", "target")
	if l.verbose {
		fmt.Fprintf(l, " %-6s %-6s ", "in", "out")
	}
	fmt.Fprintf(l, " %-19s  %-19s \n", "source", "destination")
}

// num prints a policy's counter, which has no columns to keep.
func (l *listing) num(v uint64) { l.WriteString(strings.TrimLeft(l.count(v), " ")) }

// count formats a counter: five digits, then thousands (K), and so on; or exactly.
func (l *listing) count(v uint64) string {
	if l.exact {
		return fmt.Sprintf("%8d ", v)
	}
	if v <= 99999 {
		return fmt.Sprintf("%5d ", v)
	}
	for _, unit := range "KMG" {
		if v = (v + 500) / 1000; v <= 9999 {
			return fmt.Sprintf("%4d%c ", v, unit)
		}
	}
	return fmt.Sprintf("%4dT ", (v+500)/1000)
}

func (l *listing) rule(num int, r *rule) {
	if l.lines {
		fmt.Fprintf(l, "%-4d ", num)
	}
	if l.verbose {
		l.WriteString(l.count(r.count.packets.Load()) + l.count(r.count.bytes.Load()))
	}
	fmt.Fprintf(l, "%-9s %s%-5s%s ", r.target.name, bang(r.notProto), protoName(r.proto), fragText(r.frag))
	if l.verbose {
		fmt.Fprintf(l, " %-6s %-6s ", l.device(r.in), l.device(r.out))
	}
	fmt.Fprintf(l, "%s%-19s %s%-19s ", bang(r.src.not), l.prefix(r.src), bang(r.dst.not), l.prefix(r.dst))
	if r.target.goTo {
		l.WriteString("[goto] ")
	}
	for i := range r.matches {
		l.match(&r.matches[i])
	}
	l.target(&r.target)
	l.WriteString("\n")
}

func bang(b bool) string {
	if b {
		return "!"
	}
	return " "
}

func fragText(frag int8) string {
	switch {
	case frag > 0:
		return "-f"
	case frag < 0:
		return "!f"
	}
	return "--"
}

func (l *listing) device(d device) string {
	switch {
	case d.set:
		return strings.TrimSpace(not(d.not)) + d.text()
	case l.numeric:
		return "*"
	}
	return "any"
}

func (l *listing) prefix(p prefix) string {
	switch {
	case p.mask == 0 && !l.numeric:
		return "anywhere"
	case p.mask == 0xffffffff:
		return addr4(p.addr).String()
	}
	return addr4(p.addr).String() + "/" + maskText(p.mask)
}

func (l *listing) match(m *match) {
	switch m.kind {
	case matchTCP, matchUDP:
		l.WriteString(" " + matchNames[m.kind])
		l.ports("spt", m.sport)
		l.ports("dpt", m.dport)
		if m.flags {
			l.flags(m)
		}
	case matchICMP:
		l.WriteString(" icmp" + l.icmpType(m))
	case matchConntrack:
		l.WriteString(not(m.not) + " ctstate " + ctStateNames(m.states))
	case matchState:
		l.WriteString(not(m.not) + " state " + ctStateNames(m.states))
	case matchAddrtype:
		l.WriteString(" ADDRTYPE match")
		l.types(" src-type ", m.src)
		l.types(" dst-type ", m.dst)
	case matchMark:
		l.WriteString(" mark match" + not(m.not) + " " + markText(m.value, m.mask))
	case matchIPVS:
		l.WriteString(not(m.not) + " ipvs")
	case matchComment:
		l.WriteString(" /* " + m.text + " */")
	case matchMultiport:
		l.WriteString(" multiport " + m.listName() + " " + not(m.not) + m.listText(l.numeric))
	}
}

func (l *listing) flags(m *match) {
	if l.numeric {
		fmt.Fprintf(l, " flags:%s0x%02X/0x%02X", strings.TrimSpace(not(m.not)), m.mask, m.value)
		return
	}
	l.WriteString(" flags:" + strings.TrimSpace(not(m.not)) + tcpFlagNames(m.mask) + "/" + tcpFlagNames(m.value))
}

func (l *listing) ports(name string, r portRange) {
	if !r.set {
		return
	}
	if r.lo != r.hi {
		name += "s"
	}
	l.WriteString(" " + name + ":" + strings.TrimSpace(not(r.not)) + r.text(l.numeric))
}

func (l *listing) icmpType(m *match) string {
	lo, hi := uint8(m.mask>>8), uint8(m.mask)
	if !l.numeric {
		for _, t := range icmpTypes {
			if uint32(t.typ) == m.value && t.lo == lo && t.hi == hi {
				return " " + strings.TrimSpace(not(m.not)) + t.name
			}
		}
	}
	s := not(m.not) + fmt.Sprintf("type %d", m.value)
	switch {
	case lo == hi:
		s += fmt.Sprintf(" code %d", lo)
	case lo != 0 || hi != 255:
		s += fmt.Sprintf(" codes %d-%d", lo, hi)
	}
	return s
}

func (l *listing) types(name string, s typeSet) {
	if s.types != 0 {
		l.WriteString(name + strings.TrimSpace(not(s.not)) + bitNames(addrTypes, uint32(s.types)))
	}
}

func (l *listing) target(t *target) {
	switch t.kind {
	case targetReject:
		l.WriteString(" reject-with " + t.reject.String())
	case targetMark:
		l.mark(t.mark, t.mask)
	case targetLog:
		if l.numeric {
			fmt.Fprintf(l, " LOG flags 0 level %d", t.level)
		} else {
			l.WriteString(" LOG level " + logLevels[t.level&7])
		}
		if t.prefix != "" {
			l.WriteString(` prefix "` + t.prefix + `"`)
		}
	case targetNotrack:
		if t.name == "CT" {
			l.WriteString(" NOTRACK")
		}
	case targetDNAT, targetSNAT:
		l.WriteString(" to:" + t.to.text())
	case targetMasquerade:
		if t.to.ports {
			l.WriteString(" masq ports: " + t.to.portText())
		}
	case targetRedirect:
		if t.to.ports {
			l.WriteString(" redir ports " + t.to.portText())
		}
	}
	if t.isNAT() && t.to.random {
		l.WriteString(" random")
	}
	if t.persistent {
		l.WriteString(" persistent")
	}
}

func (l *listing) mark(mark, mask uint32) {
	switch {
	case mark == 0:
		fmt.Fprintf(l, " MARK and 0x%x", ^mask)
	case mark == mask:
		fmt.Fprintf(l, " MARK or 0x%x", mark)
	case mask == 0:
		fmt.Fprintf(l, " MARK xor 0x%x", mark)
	case mask == 0xffffffff:
		fmt.Fprintf(l, " MARK set 0x%x", mark)
	default:
		fmt.Fprintf(l, " MARK xset 0x%x/0x%x", mark, mask)
	}
}
