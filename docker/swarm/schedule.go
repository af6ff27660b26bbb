package swarm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// reconcile makes the tasks that the services want and ends those that they do not, and assigns what is pending to nodes.
// The caller holds mu. It draws ids and addresses in one order, whatever the timing of the nodes.
func (c *Cluster) reconcile() {
	for _, s := range c.services {
		if s.Spec.Global {
			c.reconcileGlobal(s)
		} else {
			c.reconcileReplicated(s)
		}
	}
	for _, t := range c.tasks {
		if t.State == StateNew && t.live() {
			c.allocate(t)
		}
		if t.State == Pending && t.live() {
			c.assign(t)
		}
	}
	c.trim()
	c.notify()
}

// reconcileReplicated fills the slots of a service, lowest first, or empties some.
func (c *Cluster) reconcileReplicated(s *service) {
	taken := make(map[int]bool)
	var live []*task
	for _, t := range c.tasks {
		if t.service == s && t.live() {
			live = append(live, t)
			taken[t.Slot] = true
		}
	}
	want := s.Spec.replicas()
	for slot := 1; len(live) < want; slot++ {
		if !taken[slot] {
			live = append(live, c.succeed(s, slot, nil))
		}
	}
	for len(live) > want {
		t := surplus(live)
		live = slices.DeleteFunc(live, func(o *task) bool { return o == t })
		t.shutdown(c.cfg.Now())
	}
}

// surplus returns the task that a service can best do without: one that does not run, else one of the node with the most
// of them, the one in the highest slot (W29).
func surplus(live []*task) *task {
	onNode := make(map[*node]int)
	for _, t := range live {
		onNode[t.node]++
	}
	return slices.MaxFunc(live, func(a, b *task) int {
		idle := func(t *task) int {
			if t.State == Running {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(idle(a), idle(b)), cmp.Compare(onNode[a.node], onNode[b.node]), cmp.Compare(a.Slot, b.Slot))
	})
}

// reconcileGlobal gives every node that fits a task (W37).
func (c *Cluster) reconcileGlobal(s *service) {
	for _, n := range c.nodes {
		var have bool
		for _, t := range c.tasks {
			have = have || t.service == s && t.live() && t.NodeID == n.ID
		}
		if !have && n.Availability == Active && s.fits(n) {
			c.succeed(s, 0, n)
		}
	}
}

// succeed makes a task. If its slot had one that is being moved, the new one waits until that has ended (W28); after one
// that ended by itself it waits for the restart delay (W31).
func (c *Cluster) succeed(s *service, slot int, n *node) *task {
	t := c.newTask(s, slot, n)
	for _, o := range c.tasks {
		if o == t || o.service != s || o.Slot != slot || slot == 0 && o.NodeID != t.NodeID {
			continue
		}
		switch {
		case !o.ended():
			t.after = o
		case o.State != Shutdown:
			t.notBefore = o.Updated.Add(c.cfg.RestartDelay)
		}
	}
	return t
}

// fits tells whether a node satisfies the constraints of a service.
func (s *service) fits(n *node) bool {
	for _, text := range s.Spec.Constraints {
		if k, err := parseConstraint(text); err != nil || !k.match(n) {
			return false
		}
	}
	return true
}

// assign finds a node for a task (W24): fewest tasks of its service, then fewest at all. Which of equals it is, Swarm leaves to
// chance; here it is a worker before a manager, then the first to join, so that a lab comes up alike each time.
func (c *Cluster) assign(t *task) {
	if t.node == nil {
		n, reason := c.pick(t)
		if n == nil {
			t.Err = reason
			return
		}
		t.node = n
	}
	t.NodeID, t.NodeName = t.node.ID, t.node.Name
	t.Labels = t.service.labels(t)
	t.Container = expand(t.Container, &t.Task)
	t.move(Assigned, "", c.cfg.Now())
}

func (c *Cluster) pick(t *task) (*node, string) {
	ofService, all := make(map[*node]int), make(map[*node]int)
	ports := make(map[*node]bool)
	for _, o := range c.tasks {
		if o.node == nil || o.ended() || o.Desired != Running {
			continue
		}
		all[o.node]++
		if o.service == t.service {
			ofService[o.node]++
		}
		if portsClash(o, t) {
			ports[o.node] = true
		}
	}
	var candidates []*node
	var away, unfit, busy int
	for _, n := range c.nodes {
		switch {
		case n.Availability != Active:
			away++
		case !t.service.fits(n):
			unfit++
		case ports[n]:
			busy++
		default:
			candidates = append(candidates, n)
		}
	}
	if len(candidates) == 0 {
		return nil, noSuitableNode(away, unfit, busy)
	}
	return slices.MinFunc(candidates, func(a, b *node) int {
		return cmp.Or(cmp.Compare(ofService[a], ofService[b]), cmp.Compare(all[a], all[b]), cmp.Compare(a.rank(), b.rank()))
	}), ""
}

// rank puts workers before managers.
func (n *node) rank() int {
	if n.Role == Manager {
		return 1
	}
	return 0
}

// portsClash tells whether two tasks cannot run on one node because of what they publish on it (R9).
func portsClash(a, b *task) bool {
	for _, p := range a.Ports {
		for _, q := range b.Ports {
			if p.HostPort != 0 && p.HostPort == q.HostPort && p.Proto == q.Proto {
				return true
			}
		}
	}
	return false
}

// noSuitableNode is why a task stays pending (W26).
func noSuitableNode(away, unfit, busy int) string {
	var parts []string
	part := func(n int, format string) {
		if n == 0 {
			return
		}
		noun := "nodes"
		if n == 1 {
			noun = "node"
		}
		parts = append(parts, fmt.Sprintf(format, n, noun))
	}
	part(away, "%d %s not available for new tasks")
	part(unfit, "scheduling constraints not satisfied on %d %s")
	part(busy, "host-mode port already in use on %d %s")
	if len(parts) == 0 {
		return "no suitable node"
	}
	return "no suitable node (" + strings.Join(parts, "; ") + ")"
}

// trim forgets the oldest of the tasks that ended: all but a few in each slot (W30). Those of a service that is gone are
// forgotten once they have ended; on a modern cluster those that a service no longer wants, too.
func (c *Cluster) trim() {
	type slot struct {
		service *service
		slot    int
		node    string
	}
	kept := make(map[slot]int)
	drop := make(map[*task]bool)
	for _, t := range slices.Backward(c.tasks) {
		if !t.ended() || t.stop != nil {
			continue
		}
		c.free(t)
		k := slot{t.service, t.Slot, ""}
		if t.Slot == 0 {
			k.node = t.NodeID
		}
		kept[k]++
		gone := !slices.Contains(c.services, t.service)
		surplus := c.cfg.Modern && t.Slot > t.service.Spec.replicas() && !t.service.Spec.Global
		drop[t] = gone || surplus || kept[k] > taskHistory
	}
	c.tasks = slices.DeleteFunc(c.tasks, func(t *task) bool { return drop[t] })
}
