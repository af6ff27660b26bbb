package topology

import "gopkg.in/yaml.v3"

// The modes of the spanning tree protocol: IEEE 802.1D of 2004 and of 1998.
const (
	modeRSTP = "rstp"
	modeSTP  = "stp"
)

// The priorities of bridges (IEEE 802.1D 17.14, table 17-2), and the highest cost of a port (table 17-3).
const (
	defaultPriority = 32768
	maxPriority     = 61440
	priorityStep    = 4096
	maxCost         = 200_000_000
)

// stp reads true, false, rstp, stp, or {mode, priority, cost: {peer: cost}}.
func (r *reader) stp(n *yaml.Node) *STP {
	s := &STP{Pos: r.pos(n), Priority: defaultPriority}
	if n.Kind == yaml.MappingNode {
		mode := modeRSTP
		r.object(n, "stp", fields{
			"mode":     choice(r, &mode, "mode", modeRSTP, modeSTP),
			"priority": r.priority(&s.Priority),
			"cost":     func(n *yaml.Node) { s.Costs = r.costs(n) },
		})
		s.Legacy = mode == modeSTP
		return s
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "false":
		return nil
	case n.Kind == yaml.ScalarNode && (n.Value == "true" || n.Value == modeRSTP):
	case n.Kind == yaml.ScalarNode && n.Value == modeSTP:
		s.Legacy = true
	default:
		r.fail(n, "stp must be true, false, rstp, stp or a mapping with mode, priority and cost, not %s", kindOf(n))
	}
	return s
}

func (r *reader) priority(to *int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.integer(to, "priority", 0, maxPriority)(n)
		if *to%priorityStep != 0 {
			r.fail(n, "priority must be a multiple of %d, not %d; %d would do", priorityStep, *to, (*to+priorityStep/2)/priorityStep*priorityStep)
		}
	}
}

func (r *reader) costs(n *yaml.Node) []PortCost {
	var all []PortCost
	for _, e := range r.entries(n, "cost") {
		c := PortCost{Peer: Ref{Pos: r.pos(e.key), Name: e.key.Value}}
		r.integer(&c.Cost, "a cost", 1, maxCost)(e.value)
		all = append(all, c)
	}
	return all
}

// checkCosts checks that each port that has a cost is cabled.
func (c *checker) checkCosts(s Switch, trunks map[[2]string]bool) {
	if s.STP == nil {
		return
	}
	for _, p := range s.STP.Costs {
		if !c.known(p.Peer.Name, p.Peer.Pos) {
			continue
		}
		_, cabled := attachedTo(c.links(p.Peer.Name), s.Name)
		if !cabled && !trunks[[2]string{s.Name, p.Peer.Name}] {
			c.failAt(p.Peer.Pos, "switch %q has no cable to %q, so it has no port with this cost", s.Name, p.Peer.Name)
		}
	}
}
