package swarm

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// Node is what the engine of a node does for the cluster. Its methods are called without any lock of the cluster held.
type Node interface {
	// AddNetwork makes a network known on the node, before the first task or container that joins it there. The network
	// ingress comes as the node joins the cluster, with the address that the node has on it; address is zero for others.
	AddNetwork(ctx context.Context, n cnm.NetworkConfig, address netip.Addr) error
	// RemoveNetwork is called after the last one has left.
	RemoveNetwork(ctx context.Context, id string) error
	// RunTask starts the container of a task and returns once it runs. The container outlives ctx; stop stops and removes
	// it. ended is to be called when it ends by itself, with an error if that was no success; it may be called at any time.
	RunTask(ctx context.Context, t Task, ended func(error)) (stop func(context.Context) error, err error)
}

// Role is what a node is in the cluster.
type Role uint8

// The roles.
const (
	Worker Role = iota
	Manager
)

// String returns the role as constraints name it.
func (r Role) String() string {
	if r == Manager {
		return "manager"
	}
	return "worker"
}

// Availability says whether a node takes tasks (W1).
type Availability uint8

// The availabilities.
const (
	Active Availability = iota
	Pause               // it keeps its tasks and gets no new ones
	Drain               // its tasks move to other nodes
)

// String returns the availability as `docker node ls` prints it.
func (a Availability) String() string { return [...]string{"Active", "Pause", "Drain"}[a] }

// NodeConfig describes a node that joins.
type NodeConfig struct {
	Name   string // the host's name
	Role   Role
	Addr   netip.Addr // on the underlay: of its control traffic, and of its VXLAN tunnels
	Labels map[string]string
	Runner Node
}

// NodeInfo is what the cluster knows of a node.
type NodeInfo struct {
	ID           string
	Name         string
	Role         Role
	Addr         netip.Addr
	Labels       map[string]string
	Availability Availability
	IngressIP    netip.Prefix // its own address on the network ingress
}

type node struct {
	NodeInfo
	runner Node

	membership sync.Mutex // held while a network is added or removed, before Cluster.mu

	members map[string]int // users of each network on the node; guarded by Cluster.mu
}

func (n *node) names() (id, name string) { return n.ID, n.Name }

// Directory returns the directory of the node of that name, which need not have joined yet: its network controller is
// usually made before.
func (c *Cluster) Directory(name string, vtep netip.Addr) cnm.Directory {
	return &directory{bus: &c.bus, node: name, vtep: vtep}
}

// AddNode lets a node join the cluster. It gets the network ingress, and a task of each global service that fits.
func (c *Cluster) AddNode(ctx context.Context, cfg NodeConfig) (NodeInfo, error) {
	if cfg.Name == "" || cfg.Runner == nil {
		return NodeInfo{}, fmt.Errorf("add node %q: it needs a name and something that runs its tasks", cfg.Name)
	}
	c.mu.Lock()
	for _, n := range c.nodes {
		if n.Name == cfg.Name {
			c.mu.Unlock()
			return NodeInfo{}, fmt.Errorf("add node %s: a node of that name is part of the swarm", cfg.Name)
		}
	}
	n := &node{runner: cfg.Runner, members: make(map[string]int)}
	n.NodeInfo = NodeInfo{ID: newID(c.luck), Name: cfg.Name, Role: cfg.Role, Addr: cfg.Addr, Labels: maps.Clone(cfg.Labels)}
	ingress := c.ingress()
	var a Attachment
	var err error
	if ingress != nil {
		a, err = ingress.attach(netip.Addr{})
		n.IngressIP = a.IP
	}
	c.mu.Unlock()
	if err != nil {
		return NodeInfo{}, fmt.Errorf("add node %s: %w", cfg.Name, err)
	}
	if ingress != nil {
		if err := c.enter(ctx, n, ingress, a.IP); err != nil {
			c.release(a)
			return NodeInfo{}, fmt.Errorf("add node %s: %w", cfg.Name, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, n)
	c.reconcile()
	return n.NodeInfo, nil
}

// enter counts a user of a network on a node; the first makes it known there.
func (c *Cluster) enter(ctx context.Context, n *node, net *network, address netip.Prefix) error {
	n.membership.Lock()
	defer n.membership.Unlock()
	c.mu.Lock()
	n.members[net.ID]++
	first := n.members[net.ID] == 1
	c.mu.Unlock()
	if !first {
		return nil
	}
	err := n.runner.AddNetwork(ctx, net.Config(), address.Addr())
	if err == nil {
		return nil
	}
	c.mu.Lock()
	n.members[net.ID]--
	c.mu.Unlock()
	return fmt.Errorf("network %s on %s: %w", net.Spec.Name, n.Name, err)
}

// exit counts a user of a network on a node out; the last takes it away there.
func (c *Cluster) exit(ctx context.Context, n *node, id string) error {
	n.membership.Lock()
	defer n.membership.Unlock()
	c.mu.Lock()
	n.members[id]--
	last := n.members[id] == 0
	if last {
		delete(n.members, id)
	}
	c.mu.Unlock()
	if !last {
		return nil
	}
	return n.runner.RemoveNetwork(ctx, id)
}

// node finds a node by name or id. The caller holds mu.
func (c *Cluster) node(ref string) (*node, error) {
	n, ok := find(c.nodes, ref)
	if !ok {
		return nil, fmt.Errorf("node %s not found", ref)
	}
	return n, nil
}

// Node returns the node of that name or id.
func (c *Cluster) Node(ref string) (NodeInfo, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.node(ref)
	if err != nil {
		return NodeInfo{}, false
	}
	return n.NodeInfo, true
}

// Nodes returns the nodes in the order in which they joined.
func (c *Cluster) Nodes() []NodeInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]NodeInfo, 0, len(c.nodes))
	for _, n := range c.nodes {
		all = append(all, n.NodeInfo)
	}
	return all
}

// SetAvailability says whether a node takes tasks. From one that drains they move away at once; one that becomes
// active again stays as it is until something must be scheduled (W27, W28).
func (c *Cluster) SetAvailability(ref string, a Availability) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.node(ref)
	if err != nil {
		return err
	}
	n.Availability = a
	if a == Drain {
		for _, t := range c.tasks {
			if t.node == n && t.Desired == Running {
				t.shutdown(c.cfg.Now())
			}
		}
	}
	c.reconcile()
	return nil
}
