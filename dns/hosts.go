package dns

import (
	"net/netip"
	"strings"
)

// HostsLine is one line of an /etc/hosts.
type HostsLine struct {
	Addr  netip.Addr
	Names []string
}

// Hosts is what an /etc/hosts says. A nil one says nothing.
type Hosts struct{ Lines []HostsLine }

// ParseHosts reads an /etc/hosts. As the C library does, it passes over what it does not understand.
func ParseHosts(text string) *Hosts {
	h := &Hosts{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if addr, err := netip.ParseAddr(fields[0]); err == nil {
			h.Lines = append(h.Lines, HostsLine{Addr: addr, Names: fields[1:]})
		}
	}
	return h
}

// ContainerHosts returns the /etc/hosts of a container: the standard lines, then the hostname with the container's
// address on each network, then the extra lines that the user asked for.
func ContainerHosts(hostname string, addrs []netip.Addr, extra []HostsLine) *Hosts {
	h := ParseHosts(standardHosts)
	for _, addr := range addrs {
		h.Lines = append(h.Lines, HostsLine{Addr: addr, Names: []string{hostname}})
	}
	h.Lines = append(h.Lines, extra...)
	return h
}

const standardHosts = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`

// String returns the file's text.
func (h *Hosts) String() string {
	if h == nil {
		return ""
	}
	var b strings.Builder
	for _, line := range h.Lines {
		b.WriteString(line.Addr.String() + "\t" + strings.Join(line.Names, " ") + "\n")
	}
	return b.String()
}

// Addrs returns the addresses of name in the file's order.
func (h *Hosts) Addrs(name string) []netip.Addr {
	if h == nil {
		return nil
	}
	name = strings.TrimSuffix(name, ".")
	var addrs []netip.Addr
	for _, line := range h.Lines {
		for _, n := range line.Names {
			if strings.EqualFold(n, name) {
				addrs = append(addrs, line.Addr)
				break
			}
		}
	}
	return addrs
}

// Name returns the first name of addr.
func (h *Hosts) Name(addr netip.Addr) (name string, ok bool) {
	if h == nil {
		return "", false
	}
	for _, line := range h.Lines {
		if line.Addr == addr && len(line.Names) > 0 {
			return line.Names[0], true
		}
	}
	return "", false
}
