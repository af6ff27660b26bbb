package lb

import (
	"net/netip"
	"slices"
	"time"
)

// AddService does what Table.AddService does.
func (b *Balancer) AddService(k Key, scheduler string) (err error) {
	b.do(func(t *Table) { err = t.AddService(k, scheduler) })
	return err
}

// EditService does what Table.EditService does.
func (b *Balancer) EditService(k Key, scheduler string) (err error) {
	b.do(func(t *Table) { err = t.EditService(k, scheduler) })
	return err
}

// DelService does what Table.DelService does.
func (b *Balancer) DelService(k Key) (err error) {
	b.do(func(t *Table) { err = t.DelService(k) })
	return err
}

// Clear removes all services.
func (b *Balancer) Clear() { b.do((*Table).Clear) }

// AddDestination does what Table.AddDestination does.
func (b *Balancer) AddDestination(k Key, real netip.AddrPort, weight int) (err error) {
	b.do(func(t *Table) { err = t.AddDestination(k, real, weight) })
	return err
}

// EditDestination does what Table.EditDestination does.
func (b *Balancer) EditDestination(k Key, real netip.AddrPort, weight int) (err error) {
	b.do(func(t *Table) { err = t.EditDestination(k, real, weight) })
	return err
}

// DelDestination does what Table.DelDestination does.
func (b *Balancer) DelDestination(k Key, real netip.AddrPort) (err error) {
	b.do(func(t *Table) { err = t.DelDestination(k, real) })
	return err
}

// Services returns all services at this time, as Table.Services does.
func (b *Balancer) Services() (s []Service) {
	b.do(func(t *Table) { s = t.Services(b.clock()) })
	return s
}

// Connections returns all connections at this time, as Table.Connections does.
func (b *Balancer) Connections() (c []Connection) {
	b.do(func(t *Table) { c = t.Connections(b.clock()) })
	return c
}

// Refused returns how many packets got that verdict.
func (b *Balancer) Refused(v Verdict) (n uint64) {
	b.do(func(t *Table) { n = t.Refused(v) })
	return n
}

// Service is a reading of a virtual service.
type Service struct {
	Key          Key
	Scheduler    string
	Stats        Stats
	Destinations []Destination // by address and port
}

// Destination is a reading of a real server of a service.
type Destination struct {
	Addr                  netip.AddrPort // port 0: packets keep theirs
	Weight                int
	ActiveConn, InActConn int // established connections, and others
	Stats                 Stats
}

// Connection is a reading of a connection.
type Connection struct {
	Proto                 byte
	State                 State
	Client, Virtual, Real netip.AddrPort
	Expires               time.Duration // from now
}

// Services returns all services, those with an address first, then those with a mark, each in order.
func (t *Table) Services(at int64) []Service {
	t.Expire(at)
	var out []Service
	for _, s := range t.sorted() {
		out = append(out, s.read())
	}
	return out
}

func (s *service) read() Service {
	out := Service{Key: s.key, Scheduler: s.name, Stats: s.stats}
	for _, d := range s.dests {
		out.Destinations = append(out.Destinations, Destination{
			Addr: d.real.unpack(), Weight: d.weight, ActiveConn: d.active, InActConn: d.inactive, Stats: d.stats,
		})
	}
	slices.SortFunc(out.Destinations, func(a, b Destination) int { return a.Addr.Compare(b.Addr) })
	return out
}

// Connections returns all connections, ordered by protocol, client and virtual address.
func (t *Table) Connections(at int64) []Connection {
	t.Expire(at)
	out := make([]Connection, 0, len(t.conns))
	for _, c := range t.conns {
		out = append(out, Connection{
			Proto: c.proto, State: c.state, Expires: time.Duration(c.expires - at),
			Client: c.client.unpack(), Virtual: c.virtual.unpack(), Real: c.real.unpack(),
		})
	}
	slices.SortFunc(out, func(a, b Connection) int {
		if a.Proto != b.Proto {
			return int(a.Proto) - int(b.Proto)
		}
		if c := a.Client.Compare(b.Client); c != 0 {
			return c
		}
		return a.Virtual.Compare(b.Virtual)
	})
	return out
}

// Timeouts are those that ipvsadm --set changes: of established TCP connections, of TCP connections that a FIN has
// passed, and of UDP flows.
type Timeouts struct{ TCP, TCPFin, UDP time.Duration }

// Timeouts returns the timeouts in force.
func (t *Table) Timeouts() Timeouts {
	return Timeouts{t.timeouts[StateEstablished], t.timeouts[StateFinWait], t.timeouts[StateUDP]}
}

// SetTimeouts changes the timeouts for packets to come; one that is 0 or less stays as it is.
func (t *Table) SetTimeouts(to Timeouts) {
	for _, x := range []struct {
		state State
		d     time.Duration
	}{{StateEstablished, to.TCP}, {StateFinWait, to.TCPFin}, {StateUDP, to.UDP}} {
		if x.d > 0 {
			t.timeouts[x.state] = x.d
		}
	}
}
