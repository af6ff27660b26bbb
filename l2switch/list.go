package l2switch

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Entry is a line of the forwarding database, as `bridge fdb show` and `brctl showmacs` list it.
type Entry struct {
	MAC    wire.MAC
	VLAN   uint16 // 0: none
	Port   string
	Number int           // the port's
	Static bool          // added by hand: it does not age
	Local  bool          // an address of the bridge or of the port itself: permanent
	Age    time.Duration // since a learned address was last seen; 0 for the others
}

// Entries returns what the switch knows now, without what has expired, sorted by address and VLAN.
func (s *Switch) Entries() []Entry {
	at := s.now()
	var list []Entry
	s.fdb.each(func(_ *atomic.Pointer[entry], e *entry) {
		if s.fdb.expired(e, at) {
			return
		}
		mac, vlan := unkey(e.key)
		l := Entry{MAC: mac, VLAN: vlan, Port: e.port.name, Number: e.port.number, Static: e.static, Local: e.local}
		if !e.permanent() {
			l.Age = max(0, at-time.Duration(e.seen.Load()))
		}
		list = append(list, l)
	})
	slices.SortFunc(list, func(a, b Entry) int {
		if c := slices.Compare(a.MAC[:], b.MAC[:]); c != 0 {
			return c
		}
		return int(a.VLAN) - int(b.VLAN)
	})
	return list
}

// PortInfo describes a port.
type PortInfo struct {
	Name    string
	Number  int // 1 and up; 0: the bridge's own interface
	Config  PortConfig
	Carrier bool
	Stats   fabric.Stats
}

// Ports returns the ports in the order they were added.
func (s *Switch) Ports() []PortInfo {
	var list []PortInfo
	for _, p := range *s.ports.Load() {
		list = append(list, PortInfo{Name: p.name, Number: p.number, Config: p.Config(), Carrier: p.Carrier(), Stats: p.Read()})
	}
	return list
}
