package topology

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// nameForm is what the names of nodes, networks, services and containers look like.
var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

// name reads a key as the name of a what.
func (r *reader) name(n *yaml.Node, what string) string {
	if !nameForm.MatchString(n.Value) {
		r.fail(n, "%q cannot name a %s: use up to 63 letters, digits, \"_\", \".\" and \"-\", starting with a letter or digit", clip(n.Value), what)
	}
	return n.Value
}

// clip shortens a text for a message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// text reads any single value as it is written.
func (r *reader) text(to *string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if s, ok := r.scalar(n, what); ok {
			*to = s
		}
	}
}

// choice reads one of a few words.
func choice[T ~string](r *reader, to *T, what string, words ...T) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		known := make([]string, len(words))
		for i, w := range words {
			if T(s) == w {
				*to = w
				return
			}
			known[i] = string(w)
		}
		r.fail(n, "%s cannot be %q%s", what, clip(s), r.nearOr(s, known))
	}
}

func (r *reader) boolean(to *bool, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
			r.fail(n, "%s must be true or false, not %s", what, kindOf(n))
			return
		}
		*to = n.Value == "true"
	}
}

func (r *reader) integer(to *int, what string, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		v, err := strconv.Atoi(s)
		if err != nil || v < least || v > most {
			r.fail(n, "%s must be a whole number from %d to %d, not %q", what, least, most, clip(s))
			return
		}
		*to = v
	}
}

func (r *reader) duration(to *time.Duration, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			r.fail(n, "%s cannot be %q: write a duration like 10s, 200us or 1m30s", what, clip(s))
			return
		}
		*to = d
	}
}

// rateForm is a number with tc's units of bits.
var rateForm = regexp.MustCompile(`^([0-9]{1,12}(?:\.[0-9]{1,9})?)([kmgt]?)bit(?:/s)?$`)

// rate reads bits per second.
func (r *reader) rate(to *uint64, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		bits, err := ParseRate(s)
		if err != nil {
			r.fail(n, "%s %v", what, err)
			return
		}
		*to = bits
	}
}

// ParseRate reads bits per second, as 100mbit. The error says what it cannot
// be, to follow a name.
func ParseRate(s string) (uint64, error) {
	bits, ok := parseRate(s)
	if !ok {
		return 0, fmt.Errorf("cannot be %q: write bits per second like 100mbit, 1gbit or 512kbit", clip(s))
	}
	return bits, nil
}

func parseRate(s string) (bits uint64, ok bool) {
	m := rateForm.FindStringSubmatch(strings.ToLower(s))
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, false
	}
	scale := map[string]float64{"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}[m[2]]
	if v *= scale; v < 1 || v > 1e15 {
		return 0, false
	}
	return uint64(v), true
}

// share reads a percentage as a number from 0 to 1.
func (r *reader) share(to *float64, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		v, err := ParseShare(s)
		if err != nil {
			r.fail(n, "%s %v", what, err)
			return
		}
		*to = v
	}
}

// ParseShare reads a percentage, as 0.5%, as a number from 0 to 1. The error
// says what it cannot be, to follow a name.
func ParseShare(s string) (float64, error) {
	digits, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(digits, 64)
	if !percent || err != nil || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("cannot be %q: write a share like 1%% or 0.5%%", clip(s))
	}
	return v / 100, nil
}

// subnet reads a network; host bits must be zero.
func (r *reader) subnet(to *netip.Prefix, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, what)
		if !ok {
			return
		}
		if s == "default" {
			s = "0.0.0.0/0"
		}
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil || !p.Addr().Is4():
			r.fail(n, "%s cannot be %q: write an IPv4 network like 10.1.0.0/24", what, clip(s))
		case p != p.Masked():
			r.fail(n, "invalid subnet %s: it should be %s", p, p.Masked())
		default:
			*to = p
		}
	}
}

// interfaceAddr reads an address with its prefix length. Null means none.
func (r *reader) interfaceAddr(n *yaml.Node, what string) netip.Prefix {
	if isNull(n) {
		return netip.Prefix{}
	}
	s, ok := r.scalar(n, what)
	if !ok {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || !p.Addr().Is4():
		r.fail(n, "%s cannot be %q: write an address and prefix length like 192.168.1.2/24", what, clip(s))
		return netip.Prefix{}
	case isEdge(p, p.Addr()):
		r.fail(n, "%s cannot be %s: that is the network or broadcast address of %s", what, p.Addr(), p.Masked())
		return netip.Prefix{}
	}
	return p
}

func (r *reader) addr(to *netip.Addr, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if a, ok := r.address(n, what); ok {
			*to = a
		}
	}
}

func (r *reader) addrs(to *[]netip.Addr, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, c := range r.oneOrMore(n, what) {
			if a, ok := r.address(c, what); ok {
				*to = append(*to, a)
			}
		}
	}
}

func (r *reader) address(n *yaml.Node, what string) (netip.Addr, bool) {
	s, ok := r.scalar(n, what)
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		r.fail(n, "%s cannot be %q: write an IPv4 address like 10.1.0.1", what, clip(s))
		return netip.Addr{}, false
	}
	return a, true
}

// refs reads one name or a list of names.
func (r *reader) refs(to *[]Ref, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, c := range r.oneOrMore(n, what) {
			if s, ok := r.scalar(c, what); ok {
				*to = append(*to, Ref{Pos: r.pos(c), Name: s})
			}
		}
	}
}

// texts reads one text or a list of texts.
func (r *reader) texts(to *[]string, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, c := range r.oneOrMore(n, what) {
			if s, ok := r.scalar(c, what); ok {
				*to = append(*to, s)
			}
		}
	}
}

// isEdge tells whether a is the network or broadcast address of p, which no
// interface can have. A /31 or /32 has neither.
func isEdge(p netip.Prefix, a netip.Addr) bool {
	if !a.Is4() || !p.Addr().Is4() || p.Bits() > 30 {
		return false
	}
	return a == p.Masked().Addr() || a == broadcast(p)
}

// broadcast returns the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func joinInts(v []int, sep string) string {
	words := make([]string, len(v))
	for i, n := range v {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, sep)
}
