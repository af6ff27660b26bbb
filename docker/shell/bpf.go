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
// less, greater, broadcast, multicast, header[offset:size] comparisons; and, or, not, parentheses.
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
	return f, err
}

// filterTokens splits an expression into words and signs.
func filterTokens(text string) []string {
	var out []string
	word := ""
	flush := func() {
		if word != "" {
			out = append(out, word)
		}
		word = ""
	}
	for i := 0; i < len(text); i++ {
		two := text[i:min(i+2, len(text))]
		switch {
		case text[i] == ' ' || text[i] == '\t' || text[i] == '\n':
			flush()
		case two == "&&" || two == "||" || two == "!=" || two == "==" || two == ">=" || two == "<=":
			flush()
			out = append(out, map[string]string{"&&": "and", "||": "or", "==": "="}[two])
			if out[len(out)-1] == "" {
				out[len(out)-1] = two
			}
			i++
		case strings.IndexByte("()[]!=<>&", text[i]) >= 0:
			flush()
			out = append(out, text[i:i+1])
		case text[i] != '\\':
			word += text[i : i+1]
		}
	}
	flush()
	for i, t := range out {
		if t == "!" {
			out[i] = "not"
		}
	}
	return out
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
		if p.peek() == "[" {
			return p.comparison(word)
		}
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
