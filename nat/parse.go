package nat

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// version is the iptables whose words and layouts are spoken: that of the guide's time.
const version = "v1.6.0"

// CommandError is a command line that iptables refuses, in its words.
type CommandError struct {
	Text   string // without a line end
	Status int    // the exit status: 1 refused by the tables, 2 bad usage, 3 no such table
}

// Error implements error.
func (e *CommandError) Error() string { return e.Text }

// usage is the error for a command line that cannot be understood.
func usage(format string, args ...any) error {
	return &CommandError{Status: 2, Text: "iptables " + version + ": " + fmt.Sprintf(format, args...) +
		"\nTry `iptables -h' or 'iptables --help' for more information."}
}

// refused is the error for a command that was understood and cannot be done.
func refused(why string) error { return &CommandError{Status: 1, Text: "iptables: " + why + "."} }

func badArgument() error {
	return &CommandError{Status: 1, Text: "iptables: Invalid argument. Run `dmesg' for more information."}
}

var errNoChain = refused("No chain/target/match by that name")

// longOptions maps long options to the letters of short ones; 0x01 stands for --line-numbers.
var longOptions = map[string]byte{
	"append": 'A', "check": 'C', "delete": 'D', "insert": 'I', "replace": 'R', "list": 'L', "list-rules": 'S', "flush": 'F', "zero": 'Z',
	"new-chain": 'N', "new": 'N', "delete-chain": 'X', "rename-chain": 'E', "policy": 'P', "table": 't', "protocol": 'p', "proto": 'p',
	"source": 's', "src": 's', "destination": 'd', "dst": 'd', "in-interface": 'i', "out-interface": 'o', "jump": 'j', "goto": 'g',
	"match": 'm', "fragments": 'f', "fragment": 'f', "verbose": 'v', "numeric": 'n', "exact": 'x', "line-numbers": lineNumbers,
	"set-counters": 'c', "wait": 'w', "version": 'V', "help": 'h', "ipv4": '4',
}

const (
	lineNumbers = 0x01
	commands    = "ADCIRLSFZNXEP"
	takesArg    = "tADCIRNEPposdjigmc" // options with an argument
	mayTakeArg  = "LSFZXw"
	invertible  = "psdiof"
)

// parser reads one command line.
type parser struct {
	n    *Netfilter
	args []string
	not  bool // a "!" came before the option at hand

	table                            tableID
	tableName                        string
	command                          byte
	chain, second                    string // the command's arguments
	num                              int    // a rule's number; 0: none
	verbose, numeric, exact, numbers bool
	showVersion                      bool

	r          *rule
	srcs, dsts []prefix
	jumpName   string
	packets    uint64
	bytes      uint64
}

// next takes the next argument.
func (p *parser) next(opt string) (string, error) {
	if len(p.args) == 0 {
		return "", usage("option %q requires an argument", opt)
	}
	a := p.args[0]
	p.args = p.args[1:]
	return a, nil
}

// optional takes the next argument if it is no option.
func (p *parser) optional() string {
	if len(p.args) == 0 || p.args[0] == "!" || strings.HasPrefix(p.args[0], "-") {
		return ""
	}
	a := p.args[0]
	p.args = p.args[1:]
	return a
}

// parse reads the whole command line.
func (p *parser) parse() error {
	for len(p.args) > 0 {
		a, _ := p.next("")
		var err error
		switch {
		case a == "!":
			if p.not {
				return usage("multiple consecutive ! not allowed")
			}
			p.not = true
			continue
		case strings.HasPrefix(a, "--") && len(a) > 2:
			err = p.long(a)
		case strings.HasPrefix(a, "-") && len(a) > 1:
			err = p.short(a[1:])
		default:
			return &CommandError{Status: 2, Text: "Bad argument `" + a + "'\nTry `iptables -h' or 'iptables --help' for more information."}
		}
		if err != nil {
			return err
		}
		if p.not {
			return usage("unexpected ! flag before %s", a)
		}
	}
	if p.command == 0 && !p.showVersion {
		return usage("no command specified")
	}
	return nil
}

func (p *parser) long(a string) error {
	name, value, has := strings.Cut(a[2:], "=")
	letter, ok := longOptions[name]
	if has {
		p.args = append([]string{value}, p.args...)
	}
	if ok {
		return p.option(letter, "--"+name)
	}
	return p.extension(name)
}

// short reads a group of one-letter options; the last may have its argument attached.
func (p *parser) short(group string) error {
	for i := range len(group) {
		letter := group[i]
		if strings.IndexByte(takesArg+mayTakeArg, letter) >= 0 {
			if rest := group[i+1:]; rest != "" {
				p.args = append([]string{rest}, p.args...)
			}
			return p.option(letter, "-"+string(letter))
		}
		if err := p.option(letter, "-"+string(letter)); err != nil {
			return err
		}
	}
	return nil
}

// option takes one of iptables' own options; shown is how it was written.
func (p *parser) option(letter byte, shown string) error {
	inverted := p.not
	if inverted && strings.IndexByte(invertible, letter) < 0 {
		return usage("unexpected ! flag before %s", shown)
	}
	p.not = false
	arg := ""
	if strings.IndexByte(takesArg, letter) >= 0 {
		var err error
		if arg, err = p.next(shown); err != nil {
			return err
		}
	}
	if strings.IndexByte(commands, letter) >= 0 {
		return p.setCommand(letter, arg)
	}
	switch letter {
	case 't':
		p.tableName = arg
	case 'p', 's', 'd', 'i', 'o', 'f':
		return p.ruleOption(letter, arg, inverted)
	case 'j', 'g':
		return p.setTarget(arg, letter == 'g')
	case 'm':
		return p.addMatch(arg)
	case 'v':
		p.verbose = true
	case 'n':
		p.numeric = true
	case 'x':
		p.exact = true
	case lineNumbers:
		p.numbers = true
	case 'c':
		return p.setCounters(arg)
	case 'w':
		p.optional()
	case 'V', 'h':
		p.showVersion = true
	case '4':
	default:
		return usage("unknown option %q", shown)
	}
	return nil
}

func (p *parser) setCommand(letter byte, arg string) error {
	if p.command != 0 {
		return usage("Cannot use -%c with -%c", letter, p.command)
	}
	p.command, p.chain = letter, arg
	switch letter {
	case 'D', 'R', 'I':
		return p.setNumber(p.optional(), letter == 'R')
	case 'L', 'S', 'Z':
		if p.chain = p.optional(); p.chain != "" {
			return p.setNumber(p.optional(), false)
		}
	case 'F', 'X':
		p.chain = p.optional()
	case 'P', 'E':
		if p.second = p.optional(); p.second == "" {
			return usage("-%c requires a chain and a %s", letter, map[byte]string{'P': "policy", 'E': "new name"}[letter])
		}
	}
	return nil
}

func (p *parser) setNumber(s string, needed bool) error {
	if s == "" {
		if needed {
			return usage("-%c requires a rule number", p.command)
		}
		return nil
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < 1 {
		return usage("Invalid rule number `%s'", s)
	}
	p.num = v
	return nil
}

func (p *parser) setCounters(arg string) error {
	v, err := strconv.ParseUint(arg, 10, 64)
	second, err2 := p.next("-c")
	if err2 != nil {
		return err2
	}
	w, err3 := strconv.ParseUint(second, 10, 64)
	if err != nil || err3 != nil {
		return usage("-c packet counter not numeric")
	}
	p.packets, p.bytes = v, w
	return nil
}

func (p *parser) ruleOption(letter byte, arg string, inverted bool) (err error) {
	r := p.r
	switch letter {
	case 'p':
		proto, ok := parseProto(arg)
		if !ok {
			return usage("unknown protocol `%s' specified", arg)
		}
		if proto == 0 && inverted {
			return usage("rule would never match protocol")
		}
		r.proto, r.notProto = proto, inverted
	case 's':
		p.srcs, err = parseHosts(arg, inverted)
	case 'd':
		p.dsts, err = parseHosts(arg, inverted)
	case 'i':
		r.in, err = parseDevice(arg, inverted)
	case 'o':
		r.out, err = parseDevice(arg, inverted)
	case 'f':
		if r.frag = 1; inverted {
			r.frag = -1
		}
	}
	return err
}

// parseHosts reads one address or network, or several joined by commas.
func parseHosts(s string, inverted bool) ([]prefix, error) {
	parts := strings.Split(s, ",")
	if inverted && len(parts) > 1 {
		return nil, usage("! not allowed with multiple source or destination IP addresses")
	}
	var all []prefix
	for _, part := range parts {
		host, mask, has := strings.Cut(part, "/")
		a, err := netip.ParseAddr(host)
		if err != nil || !a.Is4() {
			return nil, usage("host/network `%s' not found", host)
		}
		m, ok := uint32(0xffffffff), true
		if has {
			if m, ok = parseMask(mask); !ok {
				return nil, usage("invalid mask `%s' specified", mask)
			}
		}
		all = append(all, prefix{addr: from4(a) & m, mask: m, not: inverted})
	}
	return all, nil
}

func parseMask(s string) (uint32, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		return from4(a), true
	}
	v, err := strconv.ParseUint(s, 10, 8)
	if err != nil || v > 32 {
		return 0, false
	}
	return bits.Reverse32(uint32(uint64(1)<<v - 1)), true
}

func parseDevice(s string, inverted bool) (device, error) {
	if len(s) > 15 {
		return device{}, usage("interface name `%s' must be shorter than IFNAMSIZ (15)", s)
	}
	if strings.ContainsFunc(s, unprintable) {
		return device{}, usage("interface name `%s' has characters that no interface's name has", s)
	}
	name, wild := strings.CutSuffix(s, "+")
	return device{name: name, wild: wild, set: name != "" || inverted, not: inverted}, nil
}

// setTarget begins the target's options.
func (p *parser) setTarget(name string, goTo bool) error {
	if p.jumpName != "" {
		return usage("multiple -j options not allowed")
	}
	if name == "" || len(name) > 28 {
		return usage("Invalid target name (%d chars max)", 28)
	}
	p.jumpName = name
	p.r.target = target{name: name, kind: targetKinds[name], goTo: goTo, level: 4}
	if goTo || p.r.target.kind == targetNone {
		p.r.target.kind = targetJump
	}
	p.r.target.to.keepAddr = p.r.target.kind == targetDNAT || p.r.target.kind == targetSNAT
	return nil
}

// targetKinds are the targets that are no chains.
var targetKinds = map[string]targetKind{
	"ACCEPT": targetAccept, "DROP": targetDrop, "RETURN": targetReturn, "REJECT": targetReject, "MARK": targetMark, "LOG": targetLog,
	"NOTRACK": targetNotrack, "CT": targetNotrack, "DNAT": targetDNAT, "SNAT": targetSNAT, "MASQUERADE": targetMasquerade, "REDIRECT": targetRedirect,
}

// addMatch begins the options of -m.
func (p *parser) addMatch(name string) error {
	for k, known := range matchNames {
		if known == name {
			p.r.matches = append(p.r.matches, match{kind: matchKind(k), mask: 0xffffffff})
			m := &p.r.matches[len(p.r.matches)-1]
			if m.kind == matchICMP {
				m.value, m.mask = anyICMP, 0x00ff
			}
			return nil
		}
	}
	return usage("Couldn't load match `%s':No such file or directory\n", name)
}
