package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/netns"
)

// What lies beyond the gateway are nodes with the addresses of the internet's names, one for each delay that names have:
// "internet", "internet-2" and so on, each at the end of a cable with that delay.

// joinExits cables the name server to the switches where the topology wants the internet's gateway.
func (s *nameServer) joinExits(p *physical, spec *topology.Spec) error {
	net := spec.Fabric.Internet
	switch {
	case net == nil:
		return nil
	case len(net.Gateway) == 0:
		s.exits = s.bySub // wherever it is
		return nil
	}
	s.exits = map[netip.Prefix]netip.Addr{}
	for _, a := range net.Gateway {
		if err := s.join(p, spec, neighbour(spec, a), a); err != nil {
			return fmt.Errorf("%s: %w", a.Pos, err)
		}
		s.exits[a.Addr.Masked()] = a.Addr.Addr()
	}
	return nil
}

// neighbour returns a host or router in the subnet of an address on a switch; empty if there is none.
func neighbour(spec *topology.Spec, at topology.Attachment) string {
	same := func(a topology.Attachment) bool { return a.To == at.To && a.Addr.Masked() == at.Addr.Masked() }
	for _, h := range spec.Fabric.Hosts {
		if slices.ContainsFunc(h.Links, same) {
			return h.Name
		}
	}
	for _, r := range spec.Fabric.Routers {
		if slices.ContainsFunc(r.Links, same) {
			return r.Name
		}
	}
	return ""
}

// addInternet makes the nodes beyond the gateway, and the name server the gateway.
func (s *nameServer) addInternet(p *physical, spec *topology.Spec, seed uint64) error {
	if spec.Fabric.Internet == nil || len(s.addrs) == 0 {
		return nil // or it is the gateway elsewhere
	}
	pool := newTransits(spec)
	for n, sites := range byDelay(spec) {
		name := "internet"
		if n > 0 {
			name += "-" + strconv.Itoa(n+1)
		}
		m := p.add(freeName(spec, name), seed, false, &machine{kind: KindInternet, sites: sites})
		if err := s.reach(p, m, "wan"+strconv.Itoa(n), pool.take()); err != nil {
			return fmt.Errorf("%s: %w", sites[0].Pos, err)
		}
	}
	return s.guard()
}

// byDelay returns the names whose addresses are not of the lab, one list for each delay.
func byDelay(spec *topology.Spec) [][]topology.Site {
	inside := spec.Fabric.Inside()
	var all [][]topology.Site
	at := map[time.Duration]int{}
	for _, site := range spec.Fabric.Internet.Names {
		site.Addrs = slices.DeleteFunc(slices.Clone(site.Addrs), inside)
		if len(site.Addrs) == 0 {
			continue
		}
		i, ok := at[site.Delay]
		if !ok {
			i = len(all)
			at[site.Delay], all = i, append(all, nil)
		}
		all[i] = append(all[i], site)
	}
	return all
}

// reach cables the name server to a node of the internet and gives that the addresses of its names.
func (s *nameServer) reach(p *physical, m *machine, dev string, transit netip.Prefix) error {
	link := fabric.NewLink(s.name+"/"+dev, m.name+"/eth0")
	p.cables = append(p.cables, &cable{link: link, a: s.name, b: m.name})
	for _, end := range []*fabric.LinkEnd{link.A(), link.B()} {
		if _, err := end.Impair(func(i *fabric.Impairment) { i.Delay = m.sites[0].Delay }); err != nil {
			return err
		}
	}
	theirs := transit.Addr().Next()
	ours := theirs.Next()
	wan, err := s.ns.AddInterface(netns.InterfaceConfig{Name: dev, Port: link.A(), Addr: netip.PrefixFrom(ours, transit.Bits())})
	if err != nil {
		return err
	}
	eth, err := m.ns.AddInterface(netns.InterfaceConfig{Name: "eth0", Port: link.B(), Addr: netip.PrefixFrom(theirs, transit.Bits())})
	if err != nil {
		return err
	}
	wan.AddNeighbour(theirs, eth.MAC()) // the delay is that of a way with many hops: nobody asks by ARP over it
	eth.AddNeighbour(ours, wan.MAC())
	lo, _ := m.ns.Interface("lo") // every namespace has one
	had := map[netip.Addr]bool{}
	for _, site := range m.sites {
		for _, a := range site.Addrs {
			if had[a] {
				continue
			}
			had[a] = true
			one := netip.PrefixFrom(a, a.BitLen())
			if err := errors.Join(lo.AddAddr(one), s.ns.AddRoute(netns.Route{Dst: one, Hops: []netns.NextHop{{Via: theirs, Dev: wan}}})); err != nil {
				return err
			}
		}
	}
	return nil
}

// transits gives out the networks for two between the gateway and the internet, of the block that providers have between
// themselves and their customers (RFC 6598).
type transits struct {
	used []netip.Prefix // what the topology has of the block
	next netip.Addr
}

var transitBlock = netip.MustParsePrefix("100.64.0.0/10")

func newTransits(spec *topology.Spec) *transits {
	t := &transits{next: transitBlock.Addr()}
	note := func(p netip.Prefix) {
		if p.Overlaps(transitBlock) {
			t.used = append(t.used, p)
		}
	}
	for _, p := range spec.Fabric.Subnets() {
		note(p)
	}
	for _, site := range spec.Fabric.Internet.Names {
		for _, a := range site.Addrs {
			note(netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return t
}

// take returns the next network in which the topology has nothing, or one in which it has if there is no other: then the
// lab reaches itself there.
func (t *transits) take() netip.Prefix {
	const bits = 30
	for {
		p := netip.PrefixFrom(t.next, bits)
		for range 1 << (32 - bits) {
			t.next = t.next.Next()
		}
		last := !transitBlock.Contains(t.next)
		if last {
			t.next = transitBlock.Addr()
		}
		if last || !slices.ContainsFunc(t.used, p.Overlaps) {
			return p
		}
	}
}

// guard makes the name server a gateway that translates what goes out, and that is no way from one segment to another.
func (s *nameServer) guard() error {
	nf := s.ns.Netfilter()
	var errs []error
	add := func(table, chain, spec string) { errs = append(errs, nf.Append(table, chain, spec)) }
	_, err := nf.Command([]string{"-P", "FORWARD", "DROP"})
	errs = append(errs, err)
	add("nat", "POSTROUTING", "-o wan+ -j MASQUERADE")
	add("filter", "FORWARD", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
	for _, i := range s.ns.Interfaces() {
		for _, a := range i.Addrs() {
			if s.exits[a.Masked()] == a.Addr() {
				add("filter", "FORWARD", fmt.Sprintf("-i %s -o wan+ -j ACCEPT", i.Name()))
			}
		}
	}
	add("filter", "FORWARD", "-j REJECT --reject-with icmp-net-unreachable")
	s.ns.SetForward(true)
	return errors.Join(errs...)
}

// openSites opens the web servers of a node of the internet, one for each address that has some.
func (m *machine) openSites(g *group) error {
	byAddr := map[netip.Addr]virtualHosts{}
	var order []netip.Addr
	for _, site := range m.sites {
		if site.Web == nil {
			continue
		}
		for _, a := range site.Addrs {
			if byAddr[a] == nil {
				order = append(order, a)
			}
			byAddr[a] = append(byAddr[a], site)
		}
	}
	for _, a := range order {
		ln, err := m.ns.Listen("tcp", netip.AddrPortFrom(a, 80).String())
		if err != nil {
			return fmt.Errorf("%s: start the web server: %w", byAddr[a][0].Pos, err)
		}
		g.spawn(func(ctx context.Context) error {
			if err := image.ServeHTTP(ctx, ln, byAddr[a]); !errors.Is(err, net.ErrClosed) { // its namespace may be the first to end
				return err
			}
			return nil
		})
	}
	return nil
}

// virtualHosts are the web sites of one address. The first answers to names that none has.
type virtualHosts []topology.Site

// ServeHTTP answers GET and HEAD of every path with the site's text.
func (v virtualHosts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405 Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host // it has no port
	}
	site := v[0]
	for _, s := range v {
		if strings.EqualFold(s.Name, strings.TrimSuffix(host, ".")) {
			site = s
			break
		}
	}
	text := *site.Web
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	http.ServeContent(w, r, "index"+suffix(text), time.Time{}, strings.NewReader(text))
}

// suffix returns that of the kind of file that a text looks like.
func suffix(text string) string {
	if strings.HasPrefix(strings.TrimSpace(text), "<") {
		return ".html"
	}
	return ".txt"
}
