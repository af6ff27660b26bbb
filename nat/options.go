package nat

import (
	"slices"
	"strconv"
	"strings"
)

// extension takes an option of the rule's target or of one of its matches. The match of the rule's protocol is there
// without -m, once one of its options is used.
func (p *parser) extension(name string) error {
	inverted := p.not
	p.not = false
	if ok, err := p.targetOption(name); ok || err != nil {
		if err == nil && inverted {
			return usage("unexpected ! flag before --%s", name)
		}
		return err
	}
	for i := range slices.Backward(p.r.matches) {
		if ok, err := p.matchOption(&p.r.matches[i], name, inverted); ok || err != nil {
			return err
		}
	}
	if proto := protoName(p.r.proto); p.implicit(proto) {
		if err := p.addMatch(proto); err != nil {
			return err
		}
		last := len(p.r.matches) - 1
		if ok, err := p.matchOption(&p.r.matches[last], name, inverted); ok || err != nil {
			return err
		}
	}
	return usage("unknown option %q", "--"+name)
}

// implicit tells whether the match of a protocol can be and is not loaded.
func (p *parser) implicit(proto string) bool {
	i := slices.Index(matchNames[:matchICMP+1], proto)
	return i >= 0 && !slices.ContainsFunc(p.r.matches, func(m match) bool { return int(m.kind) == i })
}

// matchOptions are the options of each match; those with no argument end in "!".
var matchOptions = [matchKinds][]string{
	matchTCP:       {"sport", "source-port", "dport", "destination-port", "tcp-flags", "syn!"},
	matchUDP:       {"sport", "source-port", "dport", "destination-port"},
	matchICMP:      {"icmp-type"},
	matchConntrack: {"ctstate"},
	matchState:     {"state"},
	matchAddrtype:  {"src-type", "dst-type"},
	matchMark:      {"mark"},
	matchIPVS:      {"ipvs!"},
	matchComment:   {"comment"},
	matchMultiport: {"sports", "source-ports", "dports", "destination-ports", "ports"},
}

// matchOption takes an option if it is one of m's.
func (p *parser) matchOption(m *match, name string, inverted bool) (ok bool, err error) {
	arg := ""
	switch options := matchOptions[m.kind]; {
	case slices.Contains(options, name+"!"):
	case slices.Contains(options, name):
		if arg, err = p.next("--" + name); err != nil {
			return true, err
		}
	default:
		return false, nil
	}
	switch m.kind {
	case matchTCP, matchUDP:
		err = p.portOption(m, name, arg, inverted)
	case matchICMP:
		typ, lo, hi, known := parseICMPType(arg)
		if !known {
			return true, usage("Unknown ICMP type `%s'", arg)
		}
		m.value, m.mask, m.not = uint32(typ), uint32(lo)<<8|uint32(hi), inverted
	case matchConntrack, matchState:
		m.not = inverted
		m.states, err = parseStates(name, arg)
	case matchAddrtype:
		s := typeSet{not: inverted}
		if s.types, err = parseTypes(arg); name == "src-type" {
			m.src = s
		} else {
			m.dst = s
		}
	case matchMark:
		m.not, m.which = inverted, 1
		m.value, m.mask, err = parseMark("mark", name, arg)
		m.value &= m.mask
	case matchIPVS:
		m.not = inverted
		m.which = 1
	case matchComment:
		if len(arg) > 255 || strings.ContainsAny(arg, "\n\x00") {
			return true, usage("COMMENT must be shorter than %d chars, on one line", 256)
		}
		m.text, m.which = arg, 1
	case matchMultiport:
		m.not, m.which = inverted, name[0]
		if name == "ports" {
			m.which = 'b'
		}
		err = p.portList(m, arg)
	}
	return true, err
}

func (p *parser) portOption(m *match, name, arg string, inverted bool) error {
	switch name {
	case "syn":
		m.flags, m.mask, m.value, m.not = true, 1<<0|1<<1|1<<2|1<<4, 1<<1, inverted
		return nil
	case "tcp-flags":
		second, err := p.next("--" + name)
		if err != nil {
			return err
		}
		mask, ok := parseTCPFlags(arg)
		value, ok2 := parseTCPFlags(second)
		if !ok || !ok2 {
			return usage("Unknown TCP flag `%s'", arg+" "+second)
		}
		m.flags, m.mask, m.value, m.not = true, mask, value, inverted
		return nil
	}
	r, err := parsePortRange(arg)
	r.not = inverted
	if name[0] == 's' {
		m.sport = r
	} else {
		m.dport = r
	}
	return err
}

// parsePortRange reads a port, or first:last of which either may be missing.
func parsePortRange(s string) (portRange, error) {
	r := portRange{set: true, hi: 65535}
	first, last, two := strings.Cut(s, ":")
	if !two {
		last = first
	}
	var ok bool
	if first != "" || !two {
		if r.lo, ok = parsePort(first); !ok {
			return r, usage("invalid port/service `%s' specified", first)
		}
	}
	if last != "" {
		if r.hi, ok = parsePort(last); !ok {
			return r, usage("invalid port/service `%s' specified", last)
		}
	}
	if r.lo > r.hi {
		return r, usage("invalid portrange (min > max)")
	}
	return r, nil
}

func (p *parser) portList(m *match, arg string) error {
	if p.r.proto != 6 && p.r.proto != 17 || p.r.notProto {
		return usage("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'")
	}
	for _, part := range strings.Split(arg, ",") {
		r, err := parsePortRange(part)
		if err != nil {
			return err
		}
		m.list = append(m.list, r)
	}
	if len(m.list) > 15 {
		return usage("too many ports specified")
	}
	return nil
}

func parseStates(name, arg string) (bits uint8, err error) {
	for _, word := range strings.Split(arg, ",") {
		i := slices.IndexFunc(ctStates, func(s struct {
			name string
			bit  uint8
		}) bool {
			return strings.EqualFold(s.name, word)
		})
		if i < 0 || name == "state" && ctStates[i].bit >= stateSNAT {
			return 0, usage("Bad %s %q", name, word)
		}
		bits |= ctStates[i].bit
	}
	return bits, nil
}

func parseTypes(arg string) (bits uint8, err error) {
	for _, word := range strings.Split(arg, ",") {
		i := indexFold(addrTypes, word)
		if i < 0 {
			return 0, usage("addrtype: bad type %q", word)
		}
		bits |= 1 << i
	}
	return bits, nil
}

// parseMark reads value[/mask].
func parseMark(who, opt, s string) (value, mask uint32, err error) {
	first, second, has := strings.Cut(s, "/")
	v, e := strconv.ParseUint(first, 0, 32)
	m := uint64(0xffffffff)
	if has && e == nil {
		m, e = strconv.ParseUint(second, 0, 32)
	}
	if e != nil {
		return 0, 0, usage("%s: bad value for option %q, or out of range (0-4294967295)", who, "--"+opt)
	}
	return uint32(v), uint32(m), nil
}

// targetOptions are the options of each target; those with no argument end in "!".
var targetOptions = map[targetKind][]string{
	targetReject:     {"reject-with"},
	targetMark:       {"set-mark", "set-xmark", "and-mark", "or-mark", "xor-mark"},
	targetLog:        {"log-prefix", "log-level"},
	targetNotrack:    {"notrack!"},
	targetDNAT:       {"to-destination", "random!", "persistent!"},
	targetSNAT:       {"to-source", "random!", "random-fully!", "persistent!"},
	targetMasquerade: {"to-ports", "random!", "random-fully!"},
	targetRedirect:   {"to-ports", "random!"},
}

// targetOption takes an option if it is one of the target's.
func (p *parser) targetOption(name string) (ok bool, err error) {
	t := &p.r.target
	arg := ""
	switch options := targetOptions[t.kind]; {
	case slices.Contains(options, name+"!"):
	case slices.Contains(options, name):
		if arg, err = p.next("--" + name); err != nil {
			return true, err
		}
	default:
		return false, nil
	}
	switch name {
	case "reject-with":
		for i, k := range rejectKinds {
			if arg == k.name || arg == k.alias {
				t.reject = Reject(i)
				return true, nil
			}
		}
		return true, usage("unknown reject type %q", arg)
	case "log-prefix":
		t.prefix = arg
		if len(arg) > 29 || strings.ContainsAny(arg, "\n\x00") {
			return true, usage("LOG: Newlines not allowed in --log-prefix, and no more than 29 characters")
		}
	case "log-level":
		return true, t.setLevel(arg)
	case "notrack":
		t.mask = 1
	case "to-destination", "to-source", "to-ports":
		return true, p.setRange(name, arg)
	case "random", "random-fully":
		t.to.random = true
	case "persistent":
		t.persistent = true
	default:
		return true, t.setMark(name, arg)
	}
	return true, nil
}

func (t *target) setLevel(arg string) error {
	if i := indexFold(logLevels, arg); i >= 0 {
		t.level = uint8(i)
		return nil
	}
	v, err := strconv.ParseUint(arg, 10, 3)
	if err != nil {
		return usage("log-level %q unknown", arg)
	}
	t.level = uint8(v)
	return nil
}

// setMark reads one of MARK's options: all of them come down to clearing bits and then flipping others.
func (t *target) setMark(name, arg string) error {
	v, m, err := parseMark("MARK", name, arg)
	switch name {
	case "set-mark":
		t.mark, t.mask = v, v|m
	case "set-xmark":
		t.mark, t.mask = v, m
	case "and-mark":
		t.mark, t.mask = 0, ^v
	case "or-mark":
		t.mark, t.mask = v, v
	case "xor-mark":
		t.mark, t.mask = v, 0
	}
	t.level = marked
	return err
}

// marked in target.level says that MARK was told what to do.
const marked = 255

func (p *parser) setRange(name, arg string) error {
	t := &p.r.target
	to := natRange{keepAddr: true}
	var err error
	if name == "to-ports" {
		err = to.parsePorts(arg)
		to.keepAddr = false
	} else {
		to, err = parseRange(arg)
	}
	if err != nil {
		return err
	}
	if hasPorts := p.r.proto == 6 || p.r.proto == 17 || p.r.proto == 1 && t.kind != targetRedirect; to.ports && (!hasPorts || p.r.notProto) {
		return usage("Need TCP, UDP, SCTP or DCCP with port specification")
	}
	to.random = t.to.random
	t.to = to
	t.level = marked
	return nil
}
