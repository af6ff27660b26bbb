package gossip

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/hashicorp/memberlist"
)

// MemberState is what a node holds another for.
type MemberState uint8

// The states.
const (
	Alive   MemberState = iota
	Suspect             // it did not answer, and has not said yet that it is alive
	Dead
	Left
)

// String returns the state as lists print it.
func (s MemberState) String() string { return [...]string{"alive", "suspect", "dead", "left"}[s] }

// Member is a node as another sees it.
type Member struct {
	Name        string
	Addr        netip.Addr
	State       MemberState
	Incarnation uint32   // how often it has announced itself, or had to say that it is alive
	Networks    []string // that it is on, by name
}

// Entry is an entry of a table.
type Entry struct {
	Key   string
	Owner string
	Value []byte // shared, not to be changed
	Ltime uint64 // the Lamport time of its last change
}

// Table is one table of a network. Entries are in the order of their keys.
type Table struct {
	Name       string
	Entries    []Entry
	Tombstones int // deletions that are still remembered
}

// NetworkView is what a node knows of a network that it is on.
type NetworkView struct {
	Name    string
	Members []string // live ones, the node itself included
	Queued  int      // changes that are still being spread
	Tables  []Table
}

// View is what a node knows, all of it in the order of names.
type View struct {
	Node     string
	Clock    uint64 // the Lamport clock
	Health   int    // 0: good; each point slows its probes, up to 8 (Lifeguard)
	Members  []Member
	Networks []NetworkView
	Refused  map[Reason]uint64
}

// Snapshot returns what the node knows. Before Ready and after Run there are no members.
func (n *Node) Snapshot() View {
	v := View{Node: n.cfg.Name, Refused: n.Refused()}
	var nodes []mlNode
	select {
	case <-n.ready:
		n.looking.Lock()
		nodes, _ = n.transport.look(n.list) // none, if it has ended
		n.looking.Unlock()
		v.Health = n.list.GetHealthScore()
	default:
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	v.Clock = n.state.clock
	for _, m := range nodes {
		v.Members = append(v.Members, n.state.seen(m))
	}
	for name, net := range n.state.nets {
		v.Networks = append(v.Networks, n.state.show(name, net))
	}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(v.Networks, func(a, b NetworkView) int { return cmp.Compare(a.Name, b.Name) })
	return v
}

func (s *state) seen(m mlNode) Member {
	a, _ := netip.AddrFromSlice(m.Addr)
	member := Member{Name: m.Name, Addr: a.Unmap(), Incarnation: m.Incarnation}
	switch m.State {
	case memberlist.StateSuspect:
		member.State = Suspect
	case memberlist.StateDead:
		member.State = Dead
	case memberlist.StateLeft:
		member.State = Left
	}
	for network, nodes := range s.on {
		if at := nodes[m.Name]; network != "" && at != nil && !at.gone {
			member.Networks = append(member.Networks, network)
		}
	}
	slices.Sort(member.Networks)
	return member
}

func (s *state) show(name string, net *network) NetworkView {
	v := NetworkView{Name: name, Queued: net.queue.NumQueued()}
	v.Members = append(append(v.Members, s.members(name)...), s.me)
	slices.Sort(v.Members)
	for table, entries := range net.tables {
		t := Table{Name: table}
		for key, e := range entries {
			if e.gone {
				t.Tombstones++
				continue
			}
			t.Entries = append(t.Entries, Entry{Key: key, Owner: e.owner, Value: e.value, Ltime: e.ltime})
		}
		slices.SortFunc(t.Entries, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
		v.Tables = append(v.Tables, t)
	}
	slices.SortFunc(v.Tables, func(a, b Table) int { return cmp.Compare(a.Name, b.Name) })
	return v
}
