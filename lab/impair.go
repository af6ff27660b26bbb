package lab

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/topology"
)

// LinkRequest asks for a change of what a cable does to frames.
type LinkRequest struct {
	From, To string     // two nodes or switches that are cabled; all cables between them are meant
	Both     bool       // change both directions; otherwise only what From sends
	Change   LinkChange // zero: change nothing
}

// LinkChange says what is to change; what is nil stays as it is. The fields are those of fabric.Impairment.
type LinkChange struct {
	Reset       bool           `json:",omitempty"` // first make it a perfect cable
	Down        *bool          `json:",omitempty"`
	MTU         *int           `json:",omitempty"`
	Rate        *uint64        `json:",omitempty"`
	QueueFrames *int           `json:",omitempty"`
	Loss        *float64       `json:",omitempty"`
	Burst       *fabric.Burst  `json:",omitempty"`
	Corrupt     *float64       `json:",omitempty"`
	Duplicate   *float64       `json:",omitempty"`
	Delay       *time.Duration `json:",omitempty"`
	Jitter      *time.Duration `json:",omitempty"`
	Overtake    *bool          `json:",omitempty"`
	Reorder     *float64       `json:",omitempty"`
}

// LinkState is what one direction of a cable does to frames.
type LinkState struct {
	From, To string
	fabric.Impairment
}

// apply makes the change.
func (c *LinkChange) apply(i *fabric.Impairment) {
	if c.Reset {
		*i = fabric.Impairment{}
	}
	set(&i.Down, c.Down)
	set(&i.MTU, c.MTU)
	set(&i.Rate, c.Rate)
	set(&i.QueueFrames, c.QueueFrames)
	set(&i.Loss, c.Loss)
	set(&i.Burst, c.Burst)
	set(&i.Corrupt, c.Corrupt)
	set(&i.Duplicate, c.Duplicate)
	set(&i.Delay, c.Delay)
	set(&i.Jitter, c.Jitter)
	set(&i.Overtake, c.Overtake)
	set(&i.Reorder, c.Reorder)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// Link changes what a cable does to frames, merged with what was set before, and returns the state of both directions
// after: what From sends first, then what it gets. Whether hosts send trains follows by itself, for connections that
// are opened from then on. If a value is out of range nothing changes.
func (l *Lab) Link(r LinkRequest) ([]LinkState, error) {
	cables, err := l.phys.between(r.From, r.To)
	if err != nil {
		return nil, err
	}
	for _, c := range cables { // both, or none
		ends := c.ends(r.From)
		for i, e := range ends {
			state := e.Impairment()
			if r.Change.apply(&state); i == 0 || r.Both {
				if err := state.Check(); err != nil {
					return nil, fmt.Errorf("link %s %s: %w", r.From, r.To, err)
				}
			}
		}
	}
	var all []LinkState
	for _, c := range cables {
		ends, names := c.ends(r.From), []string{r.From, r.To}
		for i, e := range ends {
			state := e.Impairment()
			if i == 0 || r.Both {
				if state, err = e.Impair(r.Change.apply); err != nil {
					return nil, fmt.Errorf("link %s %s: %w", r.From, r.To, err)
				}
			}
			all = append(all, LinkState{names[i], names[1-i], state})
		}
	}
	if r.Change != (LinkChange{}) {
		l.fitTrains()
	}
	return all, nil
}

// ends returns the ends of a cable, that of a node first.
func (c *cable) ends(node string) []*fabric.LinkEnd {
	if c.a == node {
		return []*fabric.LinkEnd{c.link.A(), c.link.B()}
	}
	return []*fabric.LinkEnd{c.link.B(), c.link.A()}
}

// between returns the cables between two nodes or switches.
func (p *physical) between(a, b string) ([]*cable, error) {
	var found []*cable
	for _, c := range p.cables {
		if c.a == a && c.b == b || c.a == b && c.b == a {
			found = append(found, c)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	for _, name := range []string{a, b} {
		if text := p.elsewhere(name); text != "" {
			return nil, fmt.Errorf("there is no link between %s and %s here: %s%s", a, b, name, text)
		}
		if p.switches[name] == nil && p.machines[name] == nil {
			return nil, fmt.Errorf("%w: %q%s; a link is between two of the hosts, routers and switches", ErrNoNode, name, near(name, p.names()))
		}
	}
	return nil, fmt.Errorf("there is no link between %s and %s; %s has links to %s", a, b, a, strings.Join(p.peers(a), ", "))
}

// peers returns who is at the other ends of a node's cables.
func (p *physical) peers(name string) []string {
	var all []string
	for _, c := range p.cables {
		switch name {
		case c.a:
			all = append(all, c.b)
		case c.b:
			all = append(all, c.a)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// names returns what the ends of cables are called.
func (p *physical) names() []string {
	var all []string
	for name := range p.switches {
		all = append(all, name)
	}
	for name := range p.machines {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// impairBoth gives a cable what the topology says of it.
func impairBoth(link *fabric.Link, c topology.Cable) error {
	for _, d := range []struct {
		end *fabric.LinkEnd
		set topology.Impairment
	}{{link.A(), c.Forward}, {link.B(), c.Reverse}} {
		if _, err := d.end.Impair(func(i *fabric.Impairment) { *i = impairment(d.set) }); err != nil {
			return err
		}
	}
	return nil
}

func impairment(i topology.Impairment) fabric.Impairment {
	return fabric.Impairment{
		Down: i.Down, Rate: i.Rate, QueueFrames: i.Queue, Loss: i.Loss, Burst: fabric.Burst(i.Burst), Corrupt: i.Corrupt,
		Duplicate: i.Duplicate, Delay: i.Delay, Jitter: i.Jitter, Overtake: i.Overtake, Reorder: i.Reorder,
		MTU: i.MTU,
	}
}

// flaps takes a cable down and up again until ctx ends.
func (c *cable) flaps(ctx context.Context) error {
	for pause(ctx, c.flap.Every-c.flap.Down) {
		c.link.SetUp(false)
		if !pause(ctx, c.flap.Down) {
			break
		}
		c.link.SetUp(true)
	}
	return nil
}

// fitTrains decides for every host and its containers whether TCP sends trains: not where a cable that its packets may
// take hurts them, unless the topology says otherwise.
func (l *Lab) fitTrains() {
	l.trains.Lock()
	defer l.trains.Unlock()
	hurt := l.phys.hurt()
	l.fitTAPs(hurt)
	for _, m := range l.phys.order {
		on := !hurt[m.name]
		if m.host != nil && m.host.GSO != topology.GSOAuto {
			on = m.host.GSO == topology.GSOOn
		}
		m.ns.SetSegmentation(on) // first, for a container that starts now has it from there
		for _, ns := range m.named.namespaces() {
			ns.SetSegmentation(on)
		}
		if eng := l.engine(m.name); eng != nil {
			for _, s := range eng.Controller().Sandboxes() {
				s.NS().SetSegmentation(on)
			}
		}
	}
}

// hurt returns all that is connected to a cable that hurts trains, by however many switches and routers.
func (p *physical) hurt() map[string]bool {
	hurt := map[string]bool{}
	var all [][2]string
	see := func(a, b string, hurts bool) {
		all = append(all, [2]string{a, b})
		if hurts {
			hurt[a], hurt[b] = true, true
		}
	}
	for _, c := range p.cables {
		see(c.a, c.b, c.link.A().Impairment().HurtsTrains() || c.link.B().Impairment().HurtsTrains())
	}
	for _, c := range p.distant { // as the topology has them: what they are now only their process knows
		see(c.A.Node, c.B.Node, impairment(c.Forward).HurtsTrains() || impairment(c.Reverse).HurtsTrains())
	}
	for more := len(hurt) > 0; more; {
		more = false
		for _, c := range all {
			a, b := c[0], c[1]
			if hurt[a] && !hurt[b] && p.passesOn(a) || hurt[b] && !hurt[a] && p.passesOn(b) {
				hurt[a], hurt[b], more = true, true, true
			}
		}
	}
	return hurt
}

// passesOn tells whether what comes in by one cable of a node may leave by another. Hosts of other processes do not.
func (p *physical) passesOn(node string) bool {
	if p.away[node].IsValid() {
		return !p.awayHosts[node]
	}
	m := p.machines[node]
	return m == nil || m.ns.Forwarding()
}

func (l *Lab) serveLink(r LinkRequest) answer {
	states, err := l.Link(r)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Links: states}
}

// Link is Lab.Link in a running lab.
func (c *Client) Link(ctx context.Context, r LinkRequest) ([]LinkState, error) {
	a, err := c.ask(ctx, request{Op: opLink, Link: &r})
	if err != nil {
		return nil, err
	}
	return a.Links, nil
}

// LinkDelay is a cable on which frames take that long in each direction.
func LinkDelay(d time.Duration) LinkOption { return func() string { return "delay: " + d.String() } }

// LinkJitter is by how much the delay may be more or less.
func LinkJitter(d time.Duration) LinkOption { return func() string { return "jitter: " + d.String() } }

// LinkLoss is a cable that loses that share of the frames, from 0 to 1, in each direction.
func LinkLoss(share float64) LinkOption {
	return func() string { return "loss: " + strconv.FormatFloat(share*100, 'f', -1, 64) + "%" }
}

// LinkRate is a cable that carries so many bits per second in each direction.
func LinkRate(bits uint64) LinkOption {
	return func() string { return fmt.Sprintf("rate: %dbit", bits) }
}
