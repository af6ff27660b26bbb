package lb

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// longOptions are ipvsadm's long options that have a short form.
var longOptions = map[string]byte{
	"add-service": 'A', "edit-service": 'E', "delete-service": 'D', "clear": 'C', "save": 'S', "zero": 'Z',
	"add-server": 'a', "edit-server": 'e', "delete-server": 'd', "list": 'l', "help": 'h',
	"tcp-service": 't', "udp-service": 'u', "fwmark-service": 'f', "scheduler": 's', "real-server": 'r', "weight": 'w',
	"masquerading": 'm', "gatewaying": 'g', "ipip": 'i', "persistent": 'p', "connection": 'c', "numeric": 'n', "exact": 'X',
	"set": optSet, "timeout": optTimeout, "stats": optStats, "sort": optSort,
}

// Options without a short form.
const (
	optSet = 128 + iota
	optTimeout
	optStats
	optSort
)

const (
	commandOptions = "AEDCSZaedLlh" // each of which is a command, as is optSet
	valueOptions   = "tufsrw"       // each of which takes a value
	otherOptions   = "mgipcnX"
)

// options is a command line of ipvsadm, read.
type options struct {
	command      byte
	given        [256]bool // but the command
	count        int       // of those
	service      Key
	server       netip.AddrPort
	serverPort   bool // the server's port was given
	scheduler    string
	weight       int
	timeouts     Timeouts
	values, left []string
}

// isCommand tells whether c is a command and not an option of one.
func isCommand(c byte) bool { return c == optSet || strings.IndexByte(commandOptions, c) >= 0 }

// parse reads a command line. The errors are ipvsadm's where it has one.
func parse(args []string) (*options, error) {
	o := &options{weight: 1, left: args}
	for len(o.left) > 0 {
		word := o.left[0]
		o.left = o.left[1:]
		var err error
		switch {
		case strings.HasPrefix(word, "--"):
			err = o.long(word[2:])
		case len(word) > 1 && word[0] == '-':
			err = o.short(word[1:])
		default:
			o.values = append(o.values, word)
		}
		if err != nil {
			return nil, err
		}
	}
	return o, o.finish()
}

func (o *options) long(word string) error {
	name, value, has := strings.Cut(word, "=")
	c, ok := longOptions[name]
	if !ok {
		return usage("--%s: unknown option", name)
	}
	takes := strings.IndexByte(valueOptions, c) >= 0
	if has {
		if !takes {
			return usage("--%s: option does not take an argument", name)
		}
		o.left = append([]string{value}, o.left...)
	}
	return o.option(c)
}

// short reads a word of one-letter options; the rest of the word is the value of the first that takes one.
func (o *options) short(word string) error {
	for i := range len(word) {
		c := word[i]
		if c >= optSet || strings.IndexByte(commandOptions+valueOptions+otherOptions, c) < 0 {
			return usage("-%c: unknown option", c)
		}
		if strings.IndexByte(valueOptions, c) >= 0 && i+1 < len(word) {
			o.left = append([]string{word[i+1:]}, o.left...)
			return o.option(c)
		}
		if err := o.option(c); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) option(c byte) error {
	switch {
	case isCommand(c):
		if o.command != 0 {
			return usage("multiple commands specified")
		}
		o.command = c
		return nil
	case o.command == 0:
		return usage("the first option must be a command, such as -L, -A or -a")
	case o.given[c]:
		return usage("multiple '%s' options specified", optionName(c))
	}
	o.given[c] = true
	o.count++
	switch c {
	case 'g', 'i':
		return usage("%s: only masquerading (-m) is supported here", optionName(c))
	case 'p':
		return usage("persistent services are not supported here")
	}
	if strings.IndexByte(valueOptions, c) < 0 {
		return nil
	}
	if len(o.left) == 0 {
		return usage("-%c: missing argument", c)
	}
	value := o.left[0]
	o.left = o.left[1:]
	return o.value(c, value)
}

func (o *options) value(c byte, value string) (err error) {
	switch c {
	case 't', 'u', 'f':
		if o.service != (Key{}) {
			return usage("multiple 'service-address' options specified")
		}
		o.service, err = parseService(c, value)
	case 'r':
		var ok bool
		if o.server, o.serverPort, ok = parseAddr(value); !ok {
			return usage("illegal real server address[:port] specified: %q", value)
		}
	case 's':
		o.scheduler = value
	case 'w':
		if o.weight, err = strconv.Atoi(value); err != nil || o.weight < 0 || o.weight > MaxWeight {
			return usage("illegal weight specified: %q is not between 0 and %d", value, MaxWeight)
		}
	}
	return err
}

// finish checks what only the whole line tells.
func (o *options) finish() error {
	if o.command == 0 && o.count+len(o.values) > 0 {
		return usage("the first word must be a command, such as -L, -A or -a")
	}
	if o.command == optSet {
		return o.readTimeouts()
	}
	if len(o.values) > 0 {
		return usage("unexpected argument %s", o.values[0])
	}
	if o.given['r'] && !o.serverPort { // the port of the service, which a mark does not have
		o.server = netip.AddrPortFrom(o.server.Addr(), o.service.Addr.Port())
	}
	return o.require()
}

// require checks which options a command must have, and may have.
func (o *options) require() error {
	const service = "tuf"
	var must, may string
	switch o.command {
	case 'A', 'E':
		must, may = "", service+"s"
	case 'D':
		must, may = "", service
	case 'a', 'e':
		must, may = "r", service+"rwm"
	case 'd':
		must, may = "r", service+"r"
	case 'L', 'l':
		may = service + "cnX" + string([]byte{optTimeout, optStats, optSort})
	case 'Z':
		may = service
	case 'S':
		may = "n"
	}
	if strings.IndexByte("AEDaed", o.command) >= 0 && o.service == (Key{}) {
		return usage("You need to supply the 'service-address' option for the '%s' command", optionName(o.command))
	}
	for _, c := range []byte(must) {
		if !o.given[c] {
			return usage("You need to supply the '%s' option for the '%s' command", optionName(c), optionName(o.command))
		}
	}
	for c, given := range o.given {
		if given && strings.IndexByte(may, byte(c)) < 0 {
			return usage("Illegal '%s' option with the '%s' command", optionName(byte(c)), optionName(o.command))
		}
	}
	if o.command == 'a' && !o.given['m'] {
		return usage("only masquerading is supported here: add -m to the '%s' command", optionName(o.command))
	}
	return nil
}

// readTimeouts reads the three values of --set, in seconds; 0 leaves one as it is.
func (o *options) readTimeouts() error {
	if len(o.values) != 3 || o.count > 0 {
		return usage("--set option requires 3 timeout values")
	}
	for i, to := range []*time.Duration{&o.timeouts.TCP, &o.timeouts.TCPFin, &o.timeouts.UDP} {
		const most = 86400 * 31 // ipvsadm's
		n, err := strconv.Atoi(o.values[i])
		if err != nil || n < 0 || n > most {
			return usage("invalid timeout value `%s' specified", o.values[i])
		}
		*to = time.Duration(n) * time.Second
	}
	return nil
}

func parseService(c byte, value string) (Key, error) {
	if c == 'f' {
		m, err := strconv.ParseUint(value, 10, 32)
		if err != nil || m == 0 {
			return Key{}, usage("invalid fwmark value `%s' specified", value)
		}
		return Mark(uint32(m)), nil
	}
	addr, _, ok := parseAddr(value)
	if !ok {
		return Key{}, usage("illegal virtual server address[:port] specified: %q", value)
	}
	if addr.Port() == 0 {
		return Key{}, usage("Zero port specified for non-persistent service")
	}
	if c == 'u' {
		return Key{Proto: wire.ProtoUDP, Addr: addr}, nil
	}
	return Key{Proto: wire.ProtoTCP, Addr: addr}, nil
}

// parseAddr reads an IPv4 address with or without port.
func parseAddr(s string) (addr netip.AddrPort, hasPort, ok bool) {
	host, port, hasPort := strings.Cut(s, ":")
	a, err := netip.ParseAddr(host)
	if err != nil || !a.Is4() {
		return netip.AddrPort{}, false, false
	}
	var p uint64
	if hasPort {
		if p, err = strconv.ParseUint(port, 10, 16); err != nil {
			return netip.AddrPort{}, false, false
		}
	}
	return netip.AddrPortFrom(a, uint16(p)), hasPort, true
}

// optionName returns the long name of an option, as ipvsadm's messages have it.
func optionName(c byte) string {
	switch c {
	case 'L':
		c = 'l'
	case 't', 'u', 'f':
		return "service-address"
	case 'r':
		return "server-address"
	}
	for name, o := range longOptions {
		if o == c {
			return name
		}
	}
	return string(rune(c))
}
