package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// portForms is what a message offers when a port cannot be read.
const portForms = `write "8000:5000", "8000:5000/udp" or "127.0.0.1:8080:80"`

func (r *reader) portList(to *[]Port) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, c := range r.list(n, "ports") {
			if c.Kind == yaml.MappingNode {
				*to = append(*to, r.longPort(c))
				continue
			}
			s, ok := r.scalar(c, "a port")
			if !ok {
				continue
			}
			ports, err := parsePort(s)
			if err != nil {
				r.fail(c, "port %q: %v; %s", clip(s), err, portForms)
				continue
			}
			if r.ports += len(ports); r.ports > maxPorts {
				r.fail(c, "the file publishes more than %d ports", maxPorts)
				return
			}
			for _, p := range ports {
				p.Pos = r.pos(c)
				*to = append(*to, p)
			}
		}
	}
}

func (r *reader) longPort(n *yaml.Node) Port {
	p := Port{Pos: r.pos(n), Protocol: "tcp", Mode: PublishIngress}
	var target, published int
	r.object(n, "a port", fields{
		"target":    r.integer(&target, "target", 1, 65535),
		"published": r.integer(&published, "published", 1, 65535),
		"protocol":  choice(r, &p.Protocol, "protocol", "tcp", "udp"),
		"mode":      choice(r, &p.Mode, "mode", PublishIngress, PublishHost),
		"host_ip":   r.addr(&p.HostIP, "host_ip"),
	}, "target")
	p.Target, p.Published = uint16(target), uint16(published)
	return p
}

// parsePort reads compose's short form [[IP:]PUBLISHED:]TARGET[/PROTOCOL],
// where both ports may be ranges of one length.
func parsePort(s string) ([]Port, error) {
	p := Port{Protocol: "tcp", Mode: PublishIngress}
	rest, protocol, given := strings.Cut(s, "/")
	if given {
		if protocol != "tcp" && protocol != "udp" {
			return nil, fmt.Errorf("protocol %q is neither tcp nor udp", protocol)
		}
		p.Protocol = protocol
	}
	parts := strings.Split(rest, ":")
	if len(parts) > 3 {
		return nil, errors.New("too many colons")
	}
	target, last, err := portRange(parts[len(parts)-1])
	if err != nil {
		return nil, err
	}
	published, publishedLast := 0, 0
	if len(parts) > 1 && !(len(parts) == 3 && parts[1] == "") {
		if published, publishedLast, err = portRange(parts[len(parts)-2]); err != nil {
			return nil, err
		}
		if publishedLast-published != last-target {
			return nil, errors.New("the two ranges differ in length")
		}
	}
	if len(parts) == 3 {
		if p.HostIP, err = netip.ParseAddr(parts[0]); err != nil || !p.HostIP.Is4() {
			return nil, fmt.Errorf("%q is not an IPv4 address", parts[0])
		}
	}
	return spreadPorts(p, published, target, last-target+1), nil
}

// spreadPorts counts a range out.
func spreadPorts(p Port, published, target, count int) []Port {
	ports := make([]Port, count)
	for i := range ports {
		ports[i] = p
		ports[i].Target = uint16(target + i)
		if published != 0 {
			ports[i].Published = uint16(published + i)
		}
	}
	return ports
}

// portRange reads "80" or "8000-8010".
func portRange(s string) (first, last int, err error) {
	low, high, ranged := strings.Cut(s, "-")
	if first, err = portNumber(low); err != nil {
		return 0, 0, err
	}
	if last = first; ranged {
		if last, err = portNumber(high); err != nil {
			return 0, 0, err
		}
	}
	if last < first || last-first >= 1024 {
		return 0, 0, fmt.Errorf("range %q must rise and hold at most 1024 ports", s)
	}
	return first, last, nil
}

func portNumber(s string) (int, error) {
	v, err := strconv.ParseUint(s, 10, 16)
	if err != nil || v == 0 {
		return 0, fmt.Errorf("%q is not a port number from 1 to 65535", s)
	}
	return int(v), nil
}
