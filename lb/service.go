package lb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// MaxWeight is the largest weight of a destination.
const MaxWeight = 65535

// What a change of services can fail with; each error wraps one of them.
var (
	ErrServiceExists     = errors.New("service already exists")
	ErrNoService         = errors.New("no such service")
	ErrDestinationExists = errors.New("destination already exists")
	ErrNoDestination     = errors.New("no such destination")
	ErrNoScheduler       = errors.New("no such scheduler")
	ErrInvalid           = errors.New("invalid argument")
)

// service is a virtual service.
type service struct {
	key   Key
	name  string // of the scheduler
	sched scheduler
	dests []*destination // newest first
	stats Stats
}

// destination is a real server of one service. One that was removed lives on as long as it has connections, and comes
// back with them if it is added again.
type destination struct {
	svc              *service
	real             endpoint // port 0: keep the packet's
	weight           int
	gone             bool
	active, inactive int
	stats            Stats
}

func (d *destination) load() int { return d.active*256 + d.inactive }

// bin names a removed destination.
type bin struct {
	service Key
	real    endpoint
}

// describe names the service that a packet is for, its scheduler and how many real servers it has; empty if there is none.
func (t *Table) describe(f Flow) string {
	s := t.byMark[f.Mark]
	if f.Mark == 0 || s == nil {
		s = t.byAddr[makeTuple(f.Proto, 0, pack(f.Dst))]
	}
	if s == nil {
		return ""
	}
	plural := "s"
	if len(s.dests) == 1 {
		plural = ""
	}
	return fmt.Sprintf("%s, %s, %d real server%s", s.key, s.name, len(s.dests), plural)
}

// AddService adds a virtual service without destinations. An empty scheduler means DefaultScheduler.
func (t *Table) AddService(k Key, scheduler string) error {
	s := &service{key: k}
	err := k.check()
	switch {
	case err != nil:
	case t.service(k) != nil:
		err = ErrServiceExists
	default:
		err = s.schedule(scheduler)
	}
	if err != nil {
		return fmt.Errorf("add service %s: %w", k, err)
	}
	if k.Mark != 0 {
		t.byMark[k.Mark] = s
	} else {
		t.byAddr[makeTuple(k.Proto, 0, pack(k.Addr))] = s
	}
	return nil
}

// EditService gives a service another scheduler, which starts anew. An empty name means DefaultScheduler.
func (t *Table) EditService(k Key, scheduler string) error {
	s := t.service(k)
	if s == nil {
		return fmt.Errorf("edit service %s: %w", k, ErrNoService)
	}
	if err := s.schedule(scheduler); err != nil {
		return fmt.Errorf("edit service %s: %w", k, err)
	}
	return nil
}

// DelService removes a service and its destinations. Its connections go the way of those whose destination is gone.
func (t *Table) DelService(k Key) error {
	s := t.service(k)
	if s == nil {
		return fmt.Errorf("delete service %s: %w", k, ErrNoService)
	}
	for len(s.dests) > 0 {
		t.removeAt(s, len(s.dests)-1)
	}
	if k.Mark != 0 {
		delete(t.byMark, k.Mark)
	} else {
		delete(t.byAddr, makeTuple(k.Proto, 0, pack(k.Addr)))
	}
	return nil
}

// Clear removes all services.
func (t *Table) Clear() {
	for _, s := range t.sorted() {
		_ = t.DelService(s.key) // it is there
	}
}

// AddDestination adds a real server to a service; port 0 means that packets keep the port they were sent to. It takes
// part at once. Weight 0 takes no new connections.
func (t *Table) AddDestination(k Key, real netip.AddrPort, weight int) error {
	s, _, err := t.find(k, real)
	switch {
	case err == nil:
		err = ErrDestinationExists
	case errors.Is(err, ErrNoDestination):
		err = checkWeight(weight)
	}
	if err != nil {
		return fmt.Errorf("add destination %s to service %s: %w", real, k, err)
	}
	d := t.revive(s, pack(real))
	d.weight = weight
	s.dests = slices.Insert(s.dests, 0, d)
	s.sched.inserted(s.dests)
	return nil
}

// revive returns the destination that was removed while it had connections, or a new one.
func (t *Table) revive(s *service, real endpoint) *destination {
	b := bin{s.key, real}
	d := t.trash[b]
	if d == nil {
		return &destination{svc: s, real: real}
	}
	delete(t.trash, b)
	if d.svc != s {
		d.svc, d.stats = s, Stats{}
	}
	d.gone = false
	return d
}

// EditDestination changes a destination's weight. With weight 0 it drains: it gets no new connections and keeps those
// it has.
func (t *Table) EditDestination(k Key, real netip.AddrPort, weight int) error {
	s, i, err := t.find(k, real)
	if err == nil {
		err = checkWeight(weight)
	}
	if err != nil {
		return fmt.Errorf("edit destination %s of service %s: %w", real, k, err)
	}
	s.dests[i].weight = weight
	s.sched.reweighted(s.dests)
	return nil
}

// DelDestination removes a destination. Packets of its connections are dropped from now on; with Config.ExpireNoDest it
// takes them with it.
func (t *Table) DelDestination(k Key, real netip.AddrPort) error {
	s, i, err := t.find(k, real)
	if err != nil {
		return fmt.Errorf("delete destination %s of service %s: %w", real, k, err)
	}
	t.removeAt(s, i)
	return nil
}

func (t *Table) removeAt(s *service, i int) {
	d := s.dests[i]
	d.gone = true
	s.dests = slices.Delete(s.dests, i, i+1)
	s.sched.removed(s.dests, i)
	if t.cfg.ExpireNoDest {
		t.forgetOf(d)
	}
	if d.active+d.inactive > 0 {
		t.trash[bin{s.key, d.real}] = d
	}
}

// ZeroStats sets the counters of all services and destinations to 0.
func (t *Table) ZeroStats() {
	for _, s := range t.sorted() {
		s.zero()
	}
}

func (s *service) zero() {
	s.stats = Stats{}
	for _, d := range s.dests {
		d.stats = Stats{}
	}
}

// schedule gives s a new scheduler.
func (s *service) schedule(name string) error {
	if name == "" {
		name = DefaultScheduler
	}
	sched := newScheduler(name)
	if sched == nil {
		return fmt.Errorf("%w: %q; there are %s", ErrNoScheduler, name, knownSchedulers())
	}
	sched.reweighted(s.dests)
	s.name, s.sched = name, sched
	return nil
}

// service returns nil if there is none.
func (t *Table) service(k Key) *service {
	switch {
	case k.Mark != 0:
		return t.byMark[k.Mark]
	case k.Addr.Addr().Is4():
		return t.byAddr[makeTuple(k.Proto, 0, pack(k.Addr))]
	}
	return nil
}

// find returns a service and the index of one of its destinations. The service is there too if only the destination
// is not.
func (t *Table) find(k Key, real netip.AddrPort) (*service, int, error) {
	s := t.service(k)
	if s == nil {
		return nil, 0, ErrNoService
	}
	if !real.Addr().Is4() {
		return s, 0, fmt.Errorf("%w: %q is no IPv4 address and port", ErrInvalid, real.String())
	}
	e := pack(real)
	i := slices.IndexFunc(s.dests, func(d *destination) bool { return d.real == e })
	if i < 0 {
		return s, 0, ErrNoDestination
	}
	return s, i, nil
}

func checkWeight(w int) error {
	if w < 0 || w > MaxWeight {
		return fmt.Errorf("%w: weight %d is not between 0 and %d", ErrInvalid, w, MaxWeight)
	}
	return nil
}

// sorted returns the services in the order of a listing.
func (t *Table) sorted() []*service {
	all := make([]*service, 0, len(t.byMark)+len(t.byAddr))
	for _, s := range t.byMark {
		all = append(all, s)
	}
	for _, s := range t.byAddr {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *service) int {
		if a.key.less(b.key) {
			return -1
		}
		return 1
	})
	return all
}
