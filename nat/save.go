package nat

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// finish makes the rule's text, as -S prints it. Two rules are the same if their texts are.
func (r *rule) finish() {
	var b strings.Builder
	savePrefix(&b, "-s", r.src)
	savePrefix(&b, "-d", r.dst)
	saveDevice(&b, "-i", r.in)
	saveDevice(&b, "-o", r.out)
	if r.proto != 0 {
		b.WriteString(not(r.notProto) + " -p " + protoName(r.proto))
	}
	if r.frag != 0 {
		b.WriteString(not(r.frag < 0) + " -f")
	}
	for i := range r.matches {
		b.WriteString(" -m " + matchNames[r.matches[i].kind])
		r.matches[i].save(&b)
	}
	r.head = b.String()
	r.target.save(&b)
	r.text = strings.TrimPrefix(b.String(), " ")
}

func not(b bool) string {
	if b {
		return " !"
	}
	return ""
}

func savePrefix(b *strings.Builder, opt string, p prefix) {
	if p.mask != 0 || p.not {
		b.WriteString(not(p.not) + " " + opt + " " + addr4(p.addr).String() + "/" + maskText(p.mask))
	}
}

func maskText(mask uint32) string {
	if n := bits.LeadingZeros32(^mask); mask == uint32(uint64(0xffffffff)<<(32-n)) {
		return strconv.Itoa(n)
	}
	return addr4(mask).String()
}

func saveDevice(b *strings.Builder, opt string, d device) {
	if d.set {
		b.WriteString(not(d.not) + " " + opt + " " + d.text())
	}
}

func (d device) text() string {
	if d.wild {
		return d.name + "+"
	}
	return d.name
}

func (r portRange) text(numeric bool) string {
	if r.lo == r.hi {
		return portName(r.lo, numeric)
	}
	return portName(r.lo, numeric) + ":" + portName(r.hi, numeric)
}

func saveRange(b *strings.Builder, opt string, r portRange) {
	if r.set {
		b.WriteString(not(r.not) + " " + opt + " " + r.text(true))
	}
}

func (m *match) save(b *strings.Builder) {
	switch m.kind {
	case matchTCP, matchUDP:
		saveRange(b, "--sport", m.sport)
		saveRange(b, "--dport", m.dport)
		if m.flags {
			b.WriteString(not(m.not) + " --tcp-flags " + tcpFlagNames(m.mask) + " " + tcpFlagNames(m.value))
		}
	case matchICMP:
		b.WriteString(not(m.not) + " --icmp-type ")
		if m.value == anyICMP {
			b.WriteString("any")
			return
		}
		fmt.Fprintf(b, "%d", m.value)
		if m.mask != 0x00ff {
			fmt.Fprintf(b, "/%d", m.mask>>8)
		}
	case matchConntrack:
		b.WriteString(not(m.not) + " --ctstate " + ctStateNames(m.states))
	case matchState:
		b.WriteString(not(m.not) + " --state " + ctStateNames(m.states))
	case matchAddrtype:
		saveTypes(b, " --src-type ", m.src)
		saveTypes(b, " --dst-type ", m.dst)
	case matchMark:
		b.WriteString(not(m.not) + " --mark " + markText(m.value, m.mask))
	case matchIPVS:
		b.WriteString(not(m.not) + " --ipvs")
	case matchComment:
		b.WriteString(" --comment " + quote(m.text))
	case matchMultiport:
		b.WriteString(not(m.not) + " --" + m.listName() + " " + m.listText(true))
	}
}

func saveTypes(b *strings.Builder, opt string, s typeSet) {
	if s.types != 0 {
		b.WriteString(not(s.not) + opt + bitNames(addrTypes, uint32(s.types)))
	}
}

func markText(value, mask uint32) string {
	if mask == 0xffffffff {
		return fmt.Sprintf("0x%x", value)
	}
	return fmt.Sprintf("0x%x/0x%x", value, mask)
}

func (m *match) listName() string {
	switch m.which {
	case 's':
		return "sports"
	case 'd':
		return "dports"
	}
	return "ports"
}

func (m *match) listText(numeric bool) string {
	var all []string
	for _, r := range m.list {
		all = append(all, r.text(numeric))
	}
	return strings.Join(all, ",")
}

// quote returns a string as -S prints it: in quotes only where it must be.
func quote(s string) string {
	plain := s != ""
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			plain = false
		}
	}
	if plain {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(s) + `"`
}

func (t *target) save(b *strings.Builder) {
	if t.kind == targetNone {
		return
	}
	if t.goTo {
		b.WriteString(" -g " + t.name)
		return
	}
	b.WriteString(" -j " + t.name)
	switch t.kind {
	case targetReject:
		b.WriteString(" --reject-with " + t.reject.String())
	case targetMark:
		fmt.Fprintf(b, " --set-xmark 0x%x/0x%x", t.mark, t.mask)
	case targetLog:
		if t.prefix != "" {
			b.WriteString(` --log-prefix "` + t.prefix + `"`)
		}
		if t.level != 4 {
			fmt.Fprintf(b, " --log-level %d", t.level)
		}
	case targetNotrack:
		if t.name == "CT" {
			b.WriteString(" --notrack")
		}
	case targetDNAT:
		b.WriteString(" --to-destination " + t.to.text())
	case targetSNAT:
		b.WriteString(" --to-source " + t.to.text())
	case targetMasquerade, targetRedirect:
		if t.to.ports {
			b.WriteString(" --to-ports " + t.to.portText())
		}
	}
	if t.isNAT() && t.to.random {
		b.WriteString(" --random")
	}
	if t.persistent {
		b.WriteString(" --persistent")
	}
}

// text returns the range as --to-destination takes it.
func (r natRange) text() string {
	s := ""
	if !r.keepAddr {
		if s = addr4(r.lo).String(); r.hi != r.lo {
			s += "-" + addr4(r.hi).String()
		}
	}
	if r.ports {
		s += ":" + r.portText()
	}
	return s
}

func (r natRange) portText() string {
	if r.portLo == r.portHi {
		return strconv.Itoa(int(r.portLo))
	}
	return fmt.Sprintf("%d-%d", r.portLo, r.portHi)
}

// parseRange reads addr[-addr][:port[-port]]; either part may be missing.
func parseRange(s string) (natRange, error) {
	r := natRange{keepAddr: true}
	addrs, ports, both := strings.Cut(s, ":")
	if both {
		if err := r.parsePorts(ports); err != nil {
			return r, err
		}
	}
	if addrs == "" {
		return r, nil
	}
	r.keepAddr = false
	first, last, two := strings.Cut(addrs, "-")
	if !two {
		last = first
	}
	for _, x := range []struct {
		text string
		to   *uint32
	}{{first, &r.lo}, {last, &r.hi}} {
		a, err := netip.ParseAddr(x.text)
		if err != nil || !a.Is4() {
			return r, usage("Bad IP address %q", x.text)
		}
		*x.to = from4(a)
	}
	if r.hi < r.lo {
		return r, usage("Bad IP range %q", addrs)
	}
	return r, nil
}

func (r *natRange) parsePorts(s string) error {
	first, last, two := strings.Cut(s, "-")
	if !two {
		last = first
	}
	lo, err := strconv.ParseUint(first, 10, 16)
	hi, err2 := strconv.ParseUint(last, 10, 16)
	switch {
	case err != nil || err2 != nil || lo == 0:
		return usage("Port `%s' not valid", s)
	case hi < lo:
		return usage("Port range `%s' funky", s)
	}
	r.ports, r.portLo, r.portHi = true, uint16(lo), uint16(hi)
	return nil
}
