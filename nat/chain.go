package nat

import (
	"slices"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric"
)

// tableID numbers the tables in the order in which a hook consults them.
type tableID uint8

const (
	tableRaw tableID = iota
	tableMangle
	tableNAT
	tableFilter

	numTables
)

// tableSpecs are the tables' names and the hooks at which they have a chain, in the order of their listing.
var tableSpecs = [numTables]struct {
	name  string
	hooks []Hook
}{
	{"raw", []Hook{Prerouting, Output}},
	{"mangle", []Hook{Prerouting, Input, Forward, Output, Postrouting}},
	{"nat", []Hook{Prerouting, Input, Output, Postrouting}},
	{"filter", []Hook{Input, Forward, Output}},
}

// table is a set of chains.
type table struct {
	id     tableID
	name   string
	base   [numHooks]*chain // built-in chains; nil where the table has none. Never changed.
	chains map[string]*chain
}

// counter counts packets and bytes of packets, wire frame by wire frame.
type counter struct{ packets, bytes atomic.Uint64 }

func (c *counter) add(v *view) {
	c.packets.Add(v.packets)
	c.bytes.Add(v.bytes)
}

func (c *counter) zero() {
	c.packets.Store(0)
	c.bytes.Store(0)
}

// chain is a list of rules. The list is replaced as a whole, never changed, so that packets read it without a lock.
type chain struct {
	table   *table
	name    string
	hook    Hook
	builtIn bool
	drop    atomic.Bool // the policy of a built-in chain
	policy  counter
	rules   atomic.Pointer[[]*rule]
	refs    int   // rules that jump here
	hooks   uint8 // from which the chain can be reached, one bit each
}

func (c *chain) list() []*rule {
	if l := c.rules.Load(); l != nil {
		return *l
	}
	return nil
}

func (c *chain) policyName() string {
	if c.drop.Load() {
		return "DROP"
	}
	return "ACCEPT"
}

func newTable(id tableID) *table {
	t := &table{id: id, name: tableSpecs[id].name, chains: make(map[string]*chain)}
	for _, h := range tableSpecs[id].hooks {
		c := &chain{table: t, name: h.String(), hook: h, builtIn: true, hooks: 1 << h}
		t.base[h], t.chains[c.name] = c, c
	}
	return t
}

// table returns a table, made on first use: a table that nobody ever named costs packets nothing. ruleMu is held.
func (n *Netfilter) table(id tableID) *table {
	t := n.tables[id].Load()
	if t == nil {
		t = newTable(id)
		n.tables[id].Store(t)
	}
	return t
}

// sorted returns the chains in the order in which they are listed: built-in ones by hook, then the others by name.
func (t *table) sorted() []*chain {
	var all []*chain
	for _, h := range tableSpecs[t.id].hooks {
		all = append(all, t.base[h])
	}
	var names []string
	for name, c := range t.chains {
		if !c.builtIn {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		all = append(all, t.chains[name])
	}
	return all
}

// below returns c and every chain that packets in it can come to, each once.
func (c *chain) below() []*chain {
	all, seen := []*chain{c}, map[*chain]bool{c: true}
	for i := 0; i < len(all); i++ {
		for _, r := range all[i].list() {
			if j := r.target.jump; j != nil && !seen[j] {
				seen[j] = true
				all = append(all, j)
			}
		}
	}
	return all
}

// rehook finds out anew from which hooks each chain can be reached.
func (t *table) rehook() {
	for _, c := range t.chains {
		if !c.builtIn {
			c.hooks = 0
		}
	}
	for _, c := range t.base {
		if c != nil {
			c.mark(c.hooks)
		}
	}
}

func (c *chain) mark(hooks uint8) {
	for _, r := range c.list() {
		if j := r.target.jump; j != nil && j.hooks&hooks != hooks {
			j.hooks |= hooks
			j.mark(hooks)
		}
	}
}

// legal tells whether every rule of c may stand where packets of these hooks come by.
func (c *chain) legal(hooks uint8) bool {
	return !slices.ContainsFunc(c.list(), func(r *rule) bool { return !r.target.allowedAt(hooks) })
}

// step runs the built-in chain of one table at a hook.
func (n *Netfilter) step(id tableID, h Hook, p *Packet) Verdict {
	t := n.tables[id].Load()
	if t == nil || t.base[h] == nil {
		return Verdict{}
	}
	v := look(h, p)
	verdict := n.walk(t.base[h], &v, p)
	if p.Frame.Trace != nil && id == tableFilter {
		n.traceFilter(t.base[h], p, verdict)
	}
	return verdict
}

// traceFilter tells a marked frame which rule decided on it. A chain without rules that lets all pass tells nothing.
func (n *Netfilter) traceFilter(c *chain, p *Packet, v Verdict) {
	if v.rule == nil && v.Action == Accept && len(c.list()) == 0 {
		return
	}
	e := fabric.Event{Kind: fabric.EventFilter, Place: n.place, Before: c.name, After: v.Where()}
	if v.Action != Accept {
		e.Reason = v.Reason
	}
	p.Frame.Trace.Add(e)
}

// walk runs the rules of a built-in chain and its policy.
func (n *Netfilter) walk(c *chain, v *view, p *Packet) Verdict {
	verdict := n.walkRules(c, v, p)
	if verdict.Action != pass {
		return verdict
	}
	c.policy.add(v)
	if c.drop.Load() {
		return Verdict{Action: Drop, Reason: fabric.DropFilter, chain: c}
	}
	return Verdict{chain: c}
}

// walkRules runs the rules of c and of the chains it jumps to; none of those leads back to c.
func (n *Netfilter) walkRules(c *chain, v *view, p *Packet) Verdict {
	for _, r := range c.list() {
		if !n.matches(r, v, p) {
			continue
		}
		r.count.add(v)
		switch r.target.kind {
		case targetJump:
			if verdict := n.walkRules(r.target.jump, v, p); verdict.Action != pass || r.target.goTo {
				return verdict
			}
		case targetReturn:
			return Verdict{Action: pass}
		case targetAccept:
			return Verdict{chain: c, rule: r}
		case targetDrop:
			return Verdict{Action: Drop, Reason: fabric.DropFilter, chain: c, rule: r}
		case targetReject:
			return Verdict{Action: RejectIt, Reason: fabric.DropReject, Reject: r.target.reject, chain: c, rule: r}
		case targetMark:
			p.Mark = p.Mark&^r.target.mask ^ r.target.mark
		case targetNotrack:
			if p.conn == nil {
				p.state = StateUntracked
			}
		case targetDNAT, targetRedirect, targetSNAT, targetMasquerade:
			return Verdict{chain: c, rule: r}
		}
	}
	return Verdict{Action: pass}
}
