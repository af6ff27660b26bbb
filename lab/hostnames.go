package lab

import (
	"net/netip"
	"strings"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/lab/topology"
)

// hostNames is what a machine's /etc/hosts and /etc/resolv.conf say until somebody writes others.
type hostNames struct {
	resolv dns.ResolvConf
	text   string // of /etc/hosts
}

// newHostNames writes the files of a machine.
func newHostNames(m *machine, server netip.Addr) *hostNames {
	n := &hostNames{}
	var extra []topology.HostName
	if m.host != nil {
		n.resolv.Nameservers, extra = m.host.DNS, m.host.ExtraHosts
	}
	if len(n.resolv.Nameservers) == 0 && server.IsValid() {
		n.resolv.Nameservers = []netip.Addr{server}
	}
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n")
	if m.addr.IsValid() {
		b.WriteString(m.addr.Addr().String() + "\t" + m.name + "\n")
	} else {
		b.WriteString("127.0.1.1\t" + m.name + "\n")
	}
	for _, e := range extra {
		for _, a := range e.Addrs {
			b.WriteString(a.String() + "\t" + e.Name + "\n")
		}
	}
	n.text = b.String()
	return n
}

// file returns a file of the machine.
func (n *hostNames) file(name string) ([]byte, bool) {
	switch name {
	case "/etc/hosts":
		return []byte(n.text), true
	case "/etc/resolv.conf":
		return []byte(n.resolv.String()), true
	}
	return nil, false
}
