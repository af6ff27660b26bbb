package shell

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/netsim-lab/netsim/netns"
)

// ipCall is one run of ip.
type ipCall struct {
	*Call
	ns      *netns.Namespace
	args    []string // what is not yet read
	details bool     // -d
	brief   bool     // -br
	oneline bool     // -o
	four    bool     // -4
	stats   bool     // -s
	json    bool     // -j
	pretty  bool     // -p
	all     bool     // -all: netns exec and delete mean all
	shows   bool     // the command shows something
	found   []any    // with -j, what is to be printed
}

// errIP is an error that ip reports in words of its own, with the status that goes with it.
type errIP struct {
	text   string
	status int
}

// Error implements error.
func (e *errIP) Error() string { return e.text }

// bad is an error about the command line, kernelSays one that the kernel would have answered.
func bad(text string) error        { return &errIP{text, 1} }
func kernelSays(text string) error { return &errIP{"RTNETLINK answers: " + text, 2} }

// runIP is ip: address, link, route, neigh, netns and xfrm.
func runIP(ctx context.Context, c *Call) int {
	i := &ipCall{Call: c, ns: c.Sys.NS, args: c.Args[1:]}
	for len(i.args) > 0 && strings.HasPrefix(i.args[0], "-") {
		switch o := i.args[0]; o {
		case "-d", "-details":
			i.details = true
		case "-br", "-brief":
			i.brief = true
		case "-o", "-oneline":
			i.oneline = true
		case "-4":
			i.four = true
		case "-s", "-stats", "-statistics":
			i.stats = true
		case "-j", "-json":
			i.json = true
		case "-p", "-pretty":
			i.pretty = true
		case "-a", "-all":
			i.all = true
		case "-c", "-color": // there are none
		case "-6":
			return 0 // there is no IPv6
		case "-n", "-netns":
			if len(i.args) < 2 {
				return c.say1("Command line is not complete. Try option \"help\"", 255)
			}
			ns, ok := c.Sys.netns(i.args[1])
			if !ok {
				return c.say1("Cannot open network namespace \""+i.args[1]+"\": No such file or directory", 255)
			}
			i.ns, i.args = ns, i.args[1:]
		case "-V", "-Version":
			c.Printf("ip utility, iproute2-6.1.0\n")
			return 0
		default:
			if c.busybox() || o == "-h" || o == "-help" {
				return i.usageIP("ip")
			}
			return c.say1("Option \""+o+"\" is unknown, try \"ip -help\".", 255)
		}
		i.args = i.args[1:]
	}
	return i.object(ctx)
}

// say1 writes a line to the standard error and returns a status.
func (c *Call) say1(line string, status int) int {
	c.say("%s", line)
	return status
}

func (i *ipCall) object(ctx context.Context) int {
	object := i.next()
	if object == "" {
		return i.usageIP("ip")
	}
	if topic := ipTopic(object); len(i.args) > 0 && i.args[0] == "help" && topic != "" {
		return i.usageIP(topic)
	}
	var err error
	switch {
	case abbreviates(object, "address"), object == "addr":
		err = i.address()
	case abbreviates(object, "link"):
		err = i.link()
	case abbreviates(object, "route"):
		err = i.route(ctx)
	case abbreviates(object, "neighbour"), abbreviates(object, "neighbor"):
		err = i.neighbour()
	case object == "netns":
		return i.netns(ctx)
	case abbreviates(object, "xfrm") && !i.busybox():
		return i.xfrm()
	default:
		if i.busybox() || object == "help" {
			return i.usageIP("ip")
		}
		return i.say1("Object \""+object+"\" is unknown, try \"ip help\".", 1)
	}
	var e *errIP
	switch {
	case errors.As(err, &e):
		return i.say1(e.text, e.status)
	case err != nil:
		return i.say1("RTNETLINK answers: "+err.Error(), 2)
	case i.json && i.shows:
		i.printJSON()
	}
	return 0
}

// ipTopic returns what the usage of an object is filed under; "": it is no object.
func ipTopic(object string) string {
	for _, o := range []string{"address", "link", "route", "neighbour"} {
		if abbreviates(object, o) {
			return "ip-" + o
		}
	}
	if object == "netns" {
		return "ip-netns"
	}
	return ""
}

// usageIP writes how ip, or one of its objects, is used.
func (i *ipCall) usageIP(topic string) int {
	if i.busybox() {
		return i.usage(1)
	}
	return i.say1(strings.TrimSuffix(i.usageOf(topic), "\n"), 255)
}

// errUnknown is the error about a word that is no command of an object.
func (i *ipCall) errUnknown(verb, object string) error {
	if i.busybox() {
		return &errIP{"ip: invalid argument '" + verb + "' to 'ip'", 1}
	}
	return &errIP{"Command \"" + verb + "\" is unknown, try \"ip " + object + " help\".", 255}
}

// abbreviates tells whether a word is a beginning of another.
func abbreviates(word, full string) bool { return word != "" && strings.HasPrefix(full, word) }

// next takes the next argument, "" if there is none.
func (i *ipCall) next() string {
	if len(i.args) == 0 {
		return ""
	}
	a := i.args[0]
	i.args = i.args[1:]
	return a
}

// verb takes the command behind an object; without one, show.
func (i *ipCall) verb() string {
	if v := i.next(); v != "" {
		return v
	}
	return "show"
}

// pairs reads the rest as keywords with a value each; a word that is no keyword gets the name first.
func (i *ipCall) pairs(first string, keywords ...string) (map[string]string, error) {
	got := map[string]string{}
	for len(i.args) > 0 {
		word := i.next()
		known := false
		for _, k := range keywords {
			if word == k {
				if len(i.args) == 0 {
					return nil, incomplete()
				}
				got[k], known = i.next(), true
			}
		}
		if known {
			continue
		}
		if _, twice := got[first]; twice || first == "" {
			return nil, &errIP{"Error: either \"" + cmp.Or(first, word) + "\" is duplicate, or \"" + word + "\" is a garbage.", 255}
		}
		got[first] = word
	}
	return got, nil
}

// device returns the interface of that name.
func (i *ipCall) device(name string) (*netns.Interface, error) {
	dev, ok := i.ns.Interface(name)
	if !ok {
		return nil, bad("Device \"" + name + "\" does not exist.")
	}
	return dev, nil
}

// parsePrefix reads an address with or without a prefix length; default is 0/0.
func parsePrefix(text string) (netip.Prefix, error) {
	if text == "default" {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), nil
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
		return netip.PrefixFrom(a, 32), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return p, bad("Error: inet prefix is expected rather than \"" + text + "\".")
	}
	return p, nil
}
