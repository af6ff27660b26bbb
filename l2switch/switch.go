package l2switch

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch/stp"
)

// Config says what a Switch is like. The zero value is that of a Linux bridge as it is made.
type Config struct {
	Name          string           // where traces say things happened, as "host-a/docker0"
	Ageing        time.Duration    // 0: DefaultAgeing; negative: learned addresses are kept for good
	MaxLearned    int              // how many addresses are learned at most; 0: DefaultMaxLearned
	VLANFiltering bool             // false: VLAN tags are carried and not looked at
	NoDefaultVLAN bool             // a port that names no VLAN is in none; false: it is in VLAN 1
	Clock         func() time.Time // nil: time.Now
	STP           *stp.Config      // the spanning tree protocol is spoken, while Run runs; nil: it is not
}

// PortConfig says how a port behaves. The zero value is an ordinary port.
type PortConfig struct {
	VLAN   uint16   // access port: the VLAN of its frames, which have no tag; 0: VLAN 1 if the switch filters
	Trunk  []uint16 // trunk: the VLANs whose frames pass it with a tag; nil: an access port
	Native uint16   // trunk: the VLAN of its untagged frames; 0: they are dropped

	Self       bool // the bridge's own interface: it gets what goes to a local address of any port
	Hairpin    bool // frames may leave by the port that they came in on
	NoLearning bool // source addresses are not learned here
	NoFlood    bool // unicast to unknown addresses is not flooded here; never is it to Self
	Isolated   bool // exchanges no frames with other isolated ports

	STP stp.PortConfig // of a switch that speaks the spanning tree protocol
}

// Hook decides on a frame that is about to be bridged from one port to another; 0 lets it pass. It sees neither what
// goes to the bridge's own interface nor what comes from there. It runs on the sender's goroutine, must not block, and
// must not keep the frame.
type Hook func(in, out *Port, f *fabric.Frame) fabric.DropReason

// Switch is a learning bridge. All methods may be called at any time, from several goroutines at once, while frames pass.
type Switch struct {
	cfg   Config
	start time.Time // the FDB's time counts from here

	fdb   *FDB // changed with mu held
	ports atomic.Pointer[[]*Port]
	self  atomic.Pointer[Port]
	hook  atomic.Pointer[Hook]
	worn  atomic.Uint64 // frames that were flooded until they could be no more
	tree  *tree         // nil: the spanning tree protocol is not spoken

	mu     sync.Mutex
	byName map[string]*Port // guarded by mu
}

// New returns a switch without ports.
func New(cfg Config) *Switch {
	s := &Switch{cfg: cfg, fdb: NewFDB(cfg.Ageing, cfg.MaxLearned), byName: make(map[string]*Port)}
	s.ports.Store(new([]*Port))
	if cfg.STP != nil {
		s.tree = newTree(s, *cfg.STP)
	}
	s.start = time.Now()
	if cfg.Clock != nil {
		s.start = cfg.Clock()
	}
	return s
}

// Name returns the name that the switch was given.
func (s *Switch) Name() string { return s.cfg.Name }

// now is the time since the switch was made.
func (s *Switch) now() time.Duration {
	if s.cfg.Clock == nil {
		return time.Since(s.start) // reads one clock where time.Now reads two
	}
	return s.cfg.Clock().Sub(s.start)
}

// AddPort makes p a port of the switch, which from now on is its receiver.
func (s *Switch) AddPort(name string, p fabric.Port, cfg PortConfig) (*Port, error) {
	r, err := cfg.compile(s.cfg)
	if err != nil {
		return nil, fmt.Errorf("add port %s to switch %s: %w", name, s.cfg.Name, err)
	}
	port := &Port{name: name, place: s.cfg.Name + ":" + name, sw: s, wire: p}
	if s.tree != nil && !cfg.Self {
		r.hold = holdAll
	}
	port.rules.Store(r)
	if err := s.join(port, cfg.Self); err != nil {
		return nil, fmt.Errorf("add port %s to switch %s: %w", name, s.cfg.Name, err)
	}
	p.SetReceiver(port)
	if s.tree != nil && !cfg.Self {
		s.tree.add(port, cfg.STP)
	}
	return port, nil
}

func (s *Switch) join(port *Port, self bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[port.name] != nil {
		return fmt.Errorf("it has a port of that name already: remove that first, or choose another name")
	}
	if own := s.self.Load(); self && own != nil {
		return fmt.Errorf("%s is the bridge's own interface already: only one port can be", own.name)
	}
	was := *s.ports.Load()
	if self {
		s.self.Store(port)
	} else {
		port.number = freeNumber(was)
	}
	s.byName[port.name] = port
	now := append(append(make([]*Port, 0, len(was)+1), was...), port)
	s.ports.Store(&now)
	return nil
}

// freeNumber returns the lowest number, from 1, that none of the ports has.
func freeNumber(ports []*Port) int {
	taken := make([]bool, len(ports)+2)
	for _, p := range ports {
		if p.number < len(taken) {
			taken[p.number] = true
		}
	}
	for n := 1; n < len(taken); n++ {
		if !taken[n] {
			return n
		}
	}
	return len(taken)
}

// RemovePort takes a port out, and all that is known to be behind it. What arrives there from now on is dropped.
func (s *Switch) RemovePort(name string) error {
	port, err := s.leave(name)
	if err != nil {
		return err
	}
	port.wire.SetReceiver(nil)
	if s.tree != nil && port.number > 0 {
		s.tree.remove(port)
	}
	return nil
}

func (s *Switch) leave(name string) (*Port, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	port, err := s.portLocked(name)
	if err != nil {
		return nil, err
	}
	delete(s.byName, name)
	port.gone.Store(true)
	s.self.CompareAndSwap(port, nil)
	var rest []*Port
	for _, p := range *s.ports.Load() {
		if p != port {
			rest = append(rest, p)
		}
	}
	s.ports.Store(&rest)
	s.fdb.DeletePort(port)
	// Another port may have the same address, whose entry was this port's.
	for _, p := range rest {
		s.addLocalsLocked(p)
	}
	return port, nil
}

func (s *Switch) portLocked(name string) (*Port, error) {
	if p := s.byName[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("switch %s has no port %q", s.cfg.Name, name)
}

// Port returns the port of that name; nil if there is none.
func (s *Switch) Port(name string) *Port {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byName[name]
}

// AddLocal notes a permanent address of the bridge itself, or of its end of a port: mac is never learned elsewhere, and
// frames to it go to the port that is Self, or to the named one if there is no such port.
func (s *Switch) AddLocal(port string, mac wire.MAC) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.portLocked(port)
	if err != nil {
		return fmt.Errorf("add local address %s: %w", mac, err)
	}
	if mac.IsMulticast() || mac.IsZero() {
		return fmt.Errorf("add local address %s to port %s of switch %s: it is not a unicast address", mac, port, s.cfg.Name)
	}
	p.locals = append(p.locals, mac)
	s.addLocalsLocked(p)
	return nil
}

// RemoveLocal forgets an address that AddLocal added.
func (s *Switch) RemoveLocal(port string, mac wire.MAC) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.portLocked(port)
	if err != nil {
		return fmt.Errorf("remove local address %s: %w", mac, err)
	}
	var rest []wire.MAC
	for _, m := range p.locals {
		if m != mac {
			rest = append(rest, m)
		}
	}
	if len(rest) == len(p.locals) {
		return fmt.Errorf("remove local address %s: port %s of switch %s does not have it", mac, port, s.cfg.Name)
	}
	p.locals = rest
	s.fdb.remove(func(e *entry) bool {
		m, _ := unkey(e.key)
		return e.local && e.port == p && m == mac
	})
	for _, q := range *s.ports.Load() {
		s.addLocalsLocked(q)
	}
	return nil
}

func (s *Switch) addLocalsLocked(p *Port) {
	at := s.now()
	for _, vlan := range p.rules.Load().vlans() {
		for _, mac := range p.locals {
			s.fdb.AddLocal(mac, vlan, p, at)
		}
	}
}

// AddStatic puts mac behind a port for good: no frame moves it. VLAN is 0 unless the switch filters.
func (s *Switch) AddStatic(port string, mac wire.MAC, vlan uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.portLocked(port)
	switch {
	case err != nil:
		return fmt.Errorf("add static entry %s: %w", mac, err)
	case mac.IsMulticast() || mac.IsZero():
		return fmt.Errorf("add static entry %s to switch %s: it is not a unicast address", mac, s.cfg.Name)
	case (vlan != 0) != s.cfg.VLANFiltering || !p.rules.Load().allows(vlan):
		return fmt.Errorf("add static entry %s to switch %s: port %s is not in VLAN %d", mac, s.cfg.Name, port, vlan)
	}
	s.fdb.AddStatic(mac, vlan, p, s.now())
	return nil
}

// RemoveEntry forgets a static or learned address.
func (s *Switch) RemoveEntry(mac wire.MAC, vlan uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fdb.Remove(mac, vlan) {
		return fmt.Errorf("remove entry %s vlan %d: switch %s has no such static or learned entry", mac, vlan, s.cfg.Name)
	}
	return nil
}

// Flush forgets all learned addresses.
func (s *Switch) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fdb.remove(func(e *entry) bool { return !e.permanent() })
}

// SetAgeing changes the ageing time as FDB.SetAgeing does.
func (s *Switch) SetAgeing(ageing time.Duration) { s.fdb.SetAgeing(ageing) }

// Ageing returns the ageing time; 1<<63 - 1 if addresses are kept for good.
func (s *Switch) Ageing() time.Duration { return time.Duration(s.fdb.ageing.Load()) }

// Sweep removes the entries that have expired at that time, and returns how many there were. It need not be called:
// expired entries are never used, and go when room is wanted.
func (s *Switch) Sweep(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fdb.Age(now.Sub(s.start))
}

// SetHook has h decide on every bridged frame, as iptables does where br_netfilter is loaded; nil: all pass.
func (s *Switch) SetHook(h Hook) {
	if h == nil {
		s.hook.Store(nil)
		return
	}
	s.hook.Store(&h)
}

// Carrier tells whether the bridge's own interface has a carrier: some other port has one.
func (s *Switch) Carrier() bool {
	for _, p := range *s.ports.Load() {
		if p.number > 0 && p.Carrier() {
			return true
		}
	}
	return false
}

// learn notes the new place of a source address, and returns the port it was on before.
func (s *Switch) learn(key uint64, port *Port, at time.Duration) (was *Port, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, vlan := unkey(key); port.gone.Load() || port.rules.Load().hold == holdAll || !port.rules.Load().allows(vlan) {
		return nil, false // the port was removed, blocked or left the VLAN just now, and its entries shall not come back
	}
	return s.fdb.learn(key, port, at)
}
