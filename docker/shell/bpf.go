package shell

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// predicate is a compiled filter.
type predicate func(p *packet) bool

// maxFilterDepth bounds the parentheses and negations in a filter.
const maxFilterDepth = 100

// errFilter is what a filter that cannot be read gets.
var errFilter = errors.New("syntax error in filter expression: syntax error")

// qualifiers say how an id in a filter is meant; a bare id after and, or takes those of the one before.
type qualifiers struct {
	proto string // "", ip, arp, tcp, udp, icmp, ether
	dir   string // "", src, dst, and (src and dst)
	kind  string // host, net, port, portrange, proto
}

// filterParser reads the language of pcap-filter: host, net, port, portrange, proto with src and dst, protocols, vlan, vxlan,
// less, greater, len, broadcast, multicast, comparisons of arithmetic on header[offset:size]; and, or, not, parentheses. As
// in a live capture of Linux a VLAN's tag is beside the packet: what follows vlan reads as it does without.
type filterParser struct {
	tokens  []string
	resolve func(name string) ([]netip.Addr, error)
	last    qualifiers
	depth   int
}

// compileFilter compiles an expression; an empty one takes all. resolve turns a host's name into addresses.
func compileFilter(text string, resolve func(name string) ([]netip.Addr, error)) (predicate, error) {
	p := &filterParser{tokens: filterTokens(text), resolve: resolve}
	if len(p.tokens) == 0 {
		return func(*packet) bool { return true }, nil
	}
	f, err := p.expression()
	if err == nil && len(p.tokens) > 0 {
		err = errFilter
	}
	return func(k *packet) bool {
		k.ends = false
		return f(k) && !k.ends
	}, err
}

// filterSigns are the signs of two characters, and what they are the same as.
var filterSigns = map[string]string{"&&": "and", "||": "or", "!=": "!=", "==": "=", ">=": ">=", "<=": "<=", "<<": "<<", ">>": ">>"}

// filterTokens splits an expression into words and signs. A dash or slash within a word is part of it, but for what is in
// brackets, and a colon is a sign in brackets only.
func filterTokens(text string) []string {
	var out []string
	word, brackets := "", 0
	flush := func(sign string) {
		if word != "" {
			out = append(out, word)
		}
		if sign != "" {
			out = append(out, sign)
		}
		word = ""
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if sign := filterSigns[text[i:min(i+2, len(text))]]; sign != "" {
			flush(sign)
			i++
			continue
		}
		inside := brackets > 0 && c == '-' && filterDashed(word, text[i:])
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			flush("")
		case c == '!':
			flush("not")
		case strings.IndexByte("()[]=<>&|^+*%", c) >= 0, strings.IndexByte("-/", c) >= 0 && (word == "" || brackets > 0) && !inside, c == ':' && brackets > 0:
			flush(text[i : i+1])
			brackets += strings.Count("[", text[i:i+1]) - strings.Count("]", text[i:i+1])
		case c != '\\':
			word += text[i : i+1]
		}
	}
	flush("")
	return out
}

// filterDashed tells whether a word and what follows it, from a dash on, begin with a name that has a dash in it.
func filterDashed(word, rest string) bool {
	for name := range filterNames {
		if begin, end, ok := strings.Cut(name, "-"); ok && begin == word && strings.HasPrefix(rest[1:], end) {
			return true
		}
	}
	return false
}

func (p *filterParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *filterParser) next() string {
	t := p.peek()
	p.tokens = p.tokens[min(1, len(p.tokens)):]
	return t
}

// take removes the next token if it is this one.
func (p *filterParser) take(t string) bool {
	if p.peek() != t || t == "" {
		return false
	}
	p.next()
	return true
}

// expression reads terms joined by and, or, which bind alike and to the left.
func (p *filterParser) expression() (predicate, error) {
	if p.depth++; p.depth > maxFilterDepth {
		return nil, fmt.Errorf("%w: nested too deep", errFilter)
	}
	defer func() { p.depth-- }()
	f, err := p.term()
	for err == nil {
		left := f
		var right predicate
		switch {
		case p.take("and"):
			if right, err = p.term(); err == nil {
				f = func(k *packet) bool { return left(k) && right(k) }
			}
		case p.take("or"):
			if right, err = p.term(); err == nil {
				f = func(k *packet) bool { return left(k) || right(k) }
			}
		default:
			return f, nil
		}
	}
	return nil, err
}

func (p *filterParser) term() (predicate, error) {
	if f, ok := p.relation(); ok {
		return f, nil
	}
	switch {
	case p.take("not"):
		if p.depth++; p.depth > maxFilterDepth {
			return nil, fmt.Errorf("%w: nested too deep", errFilter)
		}
		f, err := p.term()
		p.depth--
		if err != nil {
			return nil, err
		}
		return func(k *packet) bool { return !f(k) }, nil
	case p.take("("):
		f, err := p.expression()
		if err == nil && !p.take(")") {
			err = errFilter
		}
		return f, err
	}
	return p.primitive()
}

// protocols are the words that stand for one.
var protocols = map[string]predicate{
	"ip":   func(p *packet) bool { return p.ip != nil },
	"arp":  func(p *packet) bool { return p.typ == wire.TypeARP },
	"ip6":  func(p *packet) bool { return p.typ == wire.TypeIPv6 },
	"tcp":  func(p *packet) bool { return p.ip != nil && p.ip.Proto() == wire.ProtoTCP },
	"udp":  func(p *packet) bool { return p.ip != nil && p.ip.Proto() == wire.ProtoUDP },
	"icmp": func(p *packet) bool { return p.ip != nil && p.ip.Proto() == wire.ProtoICMP },
	"esp":  func(p *packet) bool { return p.ip != nil && p.ip.Proto() == wire.ProtoESP },
	"igmp": func(p *packet) bool { return p.ip != nil && p.ip.Proto() == 2 },
}

var filterKinds = map[string]bool{"host": true, "net": true, "port": true, "portrange": true, "proto": true}

// primitive reads one test.
func (p *filterParser) primitive() (predicate, error) {
	word := p.peek()
	switch word {
	case "":
		return nil, errFilter
	case "less", "greater":
		p.next()
		n, err := strconv.Atoi(p.next())
		if err != nil {
			return nil, errFilter
		}
		return func(k *packet) bool { return word == "less" && len(k.raw) <= n || word == "greater" && len(k.raw) >= n }, nil
	case "broadcast", "multicast":
		p.next()
		return groupTest(word), nil
	case "vlan", "vxlan":
		p.next()
		return p.tagTest(word)
	}
	q := qualifiers{}
	if protocols[word] != nil || word == "ether" {
		p.next()
		q.proto = word
	}
	if q.proto == "ip" && p.take("multicast") {
		return ipMulticast, nil
	}
	if q.proto == "ether" && (p.peek() == "broadcast" || p.peek() == "multicast") {
		return groupTest(p.next()), nil
	}
	p.direction(&q)
	if filterKinds[p.peek()] {
		q.kind = p.next()
	}
	if q.proto != "" && q.proto != "ether" && q.dir == "" && q.kind == "" && p.ends() {
		return protocols[q.proto], nil
	}
	if q == (qualifiers{}) {
		if word == "and" || word == "or" || word == ")" {
			return nil, errFilter
		}
		q = p.last
	}
	p.last = q
	return p.id(q, p.next())
}

// ends tells whether nothing follows that could be an id.
func (p *filterParser) ends() bool {
	switch p.peek() {
	case "", ")", "and", "or":
		return true
	}
	return false
}

// direction reads src, dst, src or dst, src and dst.
func (p *filterParser) direction(q *qualifiers) {
	if t := p.peek(); t != "src" && t != "dst" {
		return
	}
	q.dir = p.next()
	if len(p.tokens) > 1 && (p.tokens[0] == "or" || p.tokens[0] == "and") && (p.tokens[1] == "dst" || p.tokens[1] == "src") && p.tokens[1] != q.dir &&
		(len(p.tokens) < 3 || filterKinds[p.tokens[2]]) {
		if q.dir = ""; p.next() == "and" {
			q.dir = "and"
		}
		p.next()
	}
}
