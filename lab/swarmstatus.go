package lab

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/docker/swarm/gossip"
	"github.com/netsim-lab/netsim/docker/swarm/node"
)

// SwarmNode tells how a host stands to its swarm: what it knows itself, without asking another node.
type SwarmNode struct {
	Host     string            `json:"host"`
	State    string            `json:"state"` // inactive, pending, active, error or locked
	Error    string            `json:"error,omitempty"`
	ID       string            `json:"id,omitempty"`
	Cluster  string            `json:"cluster,omitempty"`
	Addr     string            `json:"address,omitempty"`
	Manager  bool              `json:"manager"`
	Sessions uint64            `json:"sessions"`         // that its agent has had with managers
	Raft     *SwarmRaft        `json:"raft,omitempty"`   // of a manager that runs
	Gossip   *SwarmGossip      `json:"gossip,omitempty"` // nil: it does not gossip
	Refused  map[string]uint64 `json:"refused,omitempty"`
}

// SwarmRaft is a manager's raft. Managers are named by their hosts.
type SwarmRaft struct {
	State    string      `json:"state"` // Leader, Follower, Candidate
	Term     uint64      `json:"term"`
	Vote     string      `json:"vote,omitempty"`   // whom it voted for in this term
	Leader   string      `json:"leader,omitempty"` // whom it follows
	First    uint64      `json:"first"`            // index of the oldest entry of its log
	Last     uint64      `json:"last"`
	Commit   uint64      `json:"commit"`
	Applied  uint64      `json:"applied"`
	Snapshot uint64      `json:"snapshot"`
	Peers    []SwarmPeer `json:"peers,omitempty"`
}

// SwarmPeer is a manager as another sees it.
type SwarmPeer struct {
	Host      string `json:"host"`
	Addr      string `json:"address"`
	Leader    bool   `json:"leader"`
	Reachable bool   `json:"reachable"`
	Match     uint64 `json:"match"` // up to where its log is the leader's, as that knows
}

// SwarmGossip is what a node knows by gossip.
type SwarmGossip struct {
	Clock    uint64            `json:"clock"`  // of Lamport
	Health   int               `json:"health"` // 0: good
	Alive    int               `json:"alive"`
	Suspect  int               `json:"suspect"`
	Dead     int               `json:"dead"` // with those that left
	Entries  int               `json:"entries"`
	Members  []SwarmMember     `json:"members,omitempty"`
	Networks []SwarmNetwork    `json:"networks,omitempty"`
	Refused  map[string]uint64 `json:"refused,omitempty"`
}

// SwarmMember is a node as another sees it.
type SwarmMember struct {
	Host        string   `json:"host"`
	Addr        string   `json:"address"`
	State       string   `json:"state"` // alive, suspect, dead, left
	Incarnation uint32   `json:"incarnation"`
	Networks    []string `json:"networks,omitempty"`
}

// SwarmNetwork is a network that a node gossips about.
type SwarmNetwork struct {
	Name    string       `json:"name"` // its id, where the host has no such network
	Members []string     `json:"members"`
	Queued  int          `json:"queued"` // changes that are still to be spread
	Tables  []SwarmTable `json:"tables,omitempty"`
}

// SwarmTable is a table of a network.
type SwarmTable struct {
	Name       string       `json:"name"`
	Entries    []SwarmEntry `json:"entries"`
	Tombstones int          `json:"tombstones"` // deletions that are still remembered
}

// SwarmEntry is an entry of a table.
type SwarmEntry struct {
	Key   string `json:"key"`
	Owner string `json:"owner"`
	Ltime uint64 `json:"ltime"` // Lamport time of the last change
}

// swarmStatusPatience is how long one manager has to tell of its raft.
const swarmStatusPatience = 2 * time.Second

// SwarmStatus tells how the hosts with engines stand to their swarms, in the order of the topology; with a host, of that
// one only, and then with all that it knows of others.
func (l *Lab) SwarmStatus(ctx context.Context, host string) ([]SwarmNode, error) {
	if host != "" && l.swarmNode(host) == nil {
		return nil, fmt.Errorf("%w: %q is no host with an engine that could be in a swarm", ErrNoNode, host)
	}
	hosts := map[string]string{} // by node id
	var all []SwarmNode
	var names []string
	for _, m := range l.phys.order {
		n := l.swarmNode(m.name)
		if n == nil {
			continue
		}
		hosts[n.Node.Info().NodeID] = m.name
		names = append(names, m.name)
	}
	for _, name := range names {
		if host != "" && host != name {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, swarmStatusPatience)
		s := l.swarmNode(name).Status(ctx)
		cancel()
		all = append(all, l.swarmStatus(name, &s, hosts, host != ""))
	}
	return all, nil
}

func (l *Lab) swarmStatus(name string, s *node.Status, hosts map[string]string, whole bool) SwarmNode {
	out := SwarmNode{
		Host: name, State: string(s.State), Error: s.Err, ID: s.NodeID, Cluster: s.ClusterID, Addr: s.Addr, Manager: s.Manager, Sessions: s.Sessions,
		Refused: counts(map[string]uint64{
			"handshake": s.Refusals.Handshake, "oversized": s.Refusals.Oversized, "malformed": s.Refusals.Malformed, "denied": s.Refusals.Denied,
			"full": s.Refusals.Full, "token": s.Refusals.Tokens, "removed node": s.Refusals.Removed,
		}),
	}
	if s.Control {
		out.Raft = swarmRaft(&s.Raft, hosts)
	}
	if s.Gossips {
		out.Gossip = l.swarmGossip(name, &s.Gossip, whole)
	}
	return out
}

// counts leaves out what is 0.
func counts(all map[string]uint64) map[string]uint64 {
	for k, n := range all {
		if n == 0 {
			delete(all, k)
		}
	}
	return all
}

func swarmRaft(r *consensus.Status, hosts map[string]string) *SwarmRaft {
	called := func(m consensus.Member) string { return cmp.Or(hosts[m.Node], m.Node) }
	out := &SwarmRaft{
		State: r.State, Term: r.Term, Vote: called(r.Vote), Leader: called(r.Leader.Member), First: r.First, Last: r.Last, Commit: r.Commit,
		Applied: r.Applied, Snapshot: r.Snapshot,
	}
	for _, p := range r.Peers {
		out.Peers = append(out.Peers, SwarmPeer{called(p.Member), p.Addr, p.Leader, p.Reachable, p.Match})
	}
	return out
}

func (l *Lab) swarmGossip(host string, v *gossip.View, whole bool) *SwarmGossip {
	out := &SwarmGossip{Clock: v.Clock, Health: v.Health, Refused: map[string]uint64{}}
	for reason, n := range v.Refused {
		out.Refused[fmt.Sprint(reason)] = n
	}
	counts(out.Refused)
	for _, m := range v.Members {
		switch m.State {
		case gossip.Alive:
			out.Alive++
		case gossip.Suspect:
			out.Suspect++
		default:
			out.Dead++
		}
		if !whole {
			continue
		}
		seen := SwarmMember{Host: m.Name, Addr: m.Addr.String(), State: m.State.String(), Incarnation: m.Incarnation}
		for _, id := range m.Networks {
			seen.Networks = append(seen.Networks, l.networkName(host, id))
		}
		out.Members = append(out.Members, seen)
	}
	for _, n := range v.Networks {
		net := SwarmNetwork{Name: l.networkName(host, n.Name), Members: n.Members, Queued: n.Queued}
		for _, t := range n.Tables {
			out.Entries += len(t.Entries)
			net.Tables = append(net.Tables, swarmTable(&t))
		}
		if whole {
			out.Networks = append(out.Networks, net)
		}
	}
	return out
}

func swarmTable(t *gossip.Table) SwarmTable {
	out := SwarmTable{Name: t.Name, Entries: []SwarmEntry{}, Tombstones: t.Tombstones}
	for _, e := range t.Entries {
		out.Entries = append(out.Entries, SwarmEntry{e.Key, e.Owner, e.Ltime})
	}
	return out
}

// networkName is the name of a network that a host may have.
func (l *Lab) networkName(host, id string) string {
	if eng := l.engine(host); eng != nil {
		if n, ok := eng.Controller().Network(id); ok {
			return n.Name()
		}
	}
	return id
}

// SwarmStatus is Lab.SwarmStatus in a running lab.
func (c *Client) SwarmStatus(ctx context.Context, host string) ([]SwarmNode, error) {
	a, err := c.ask(ctx, request{Op: opSwarm, Swarm: &host})
	if err != nil {
		return nil, err
	}
	return a.Swarm, nil
}

func (l *Lab) serveSwarm(ctx context.Context, host string) answer {
	all, err := l.SwarmStatus(ctx, host)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Swarm: all}
}
