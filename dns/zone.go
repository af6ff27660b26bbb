package dns

import (
	"net/netip"
	"slices"
	"strings"
)

// Zone holds the records of one network. Every record has an owner (an endpoint, a task), and a name or address may be
// held by several owners: what one of them removes stays as long as another holds it. So a service's name, claimed with
// the service's virtual address by each of its tasks, exists exactly while there is a task.
//
// A Zone is a plain value: it takes no lock, and it must not be used by several goroutines at once; see SharedZone.
type Zone struct {
	network string // in lower case
	suffix  string // what a reverse name ends with, "." or ".<network>."
	names   map[string]*record
	reverse map[netip.Addr][]holder
	owners  map[string]*claims
}

// A record is what one name stands for. addrs may be in the hands of readers: it grows by append and is replaced, never
// changed, when it shrinks.
type record struct {
	addrs []netip.Addr
	refs  []int // how many owners hold addrs[i]
}

// A holder says that owner gave an address its reverse name.
type holder struct{ owner, name string }

// claims is all that one owner has put into a zone.
type claims struct {
	names   []claim
	reverse []netip.Addr
}

// A claim is one owner's name with one address.
type claim struct {
	name string
	addr netip.Addr
}

// NewZone returns an empty zone for the named network. Reverse names end in the network's name; with an empty name they
// are taken as they are.
func NewZone(network string) *Zone {
	z := &Zone{
		network: lowerName(network),
		suffix:  ".",
		names:   make(map[string]*record),
		reverse: make(map[netip.Addr][]holder),
		owners:  make(map[string]*claims),
	}
	if network != "" {
		z.suffix = "." + strings.TrimSuffix(network, ".") + "."
	}
	return z
}

// Network returns the name of the network in lower case.
func (z *Zone) Network() string { return z.network }

// Add lets owner hold name with addr. It reports whether that is new; an empty name or an invalid address is not added.
func (z *Zone) Add(owner, name string, addr netip.Addr) bool {
	c := claim{name: lowerName(name), addr: plainAddr(addr)}
	if c.name == "" || !c.addr.IsValid() {
		return false
	}
	mine := z.claimsOf(owner)
	if slices.Contains(mine.names, c) {
		return false
	}
	mine.names = append(mine.names, c)
	rec := z.names[c.name]
	if rec == nil {
		rec = &record{}
		z.names[c.name] = rec
	}
	rec.hold(c.addr)
	return true
}

// AddReverse lets owner give addr the reverse name "<name>.<network>.". The first of several owners is the one that
// Reverse reports. It reports whether owner had no reverse name for addr before.
func (z *Zone) AddReverse(owner string, addr netip.Addr, name string) bool {
	addr = plainAddr(addr)
	name = strings.TrimSuffix(name, ".")
	if name == "" || !addr.IsValid() {
		return false
	}
	mine := z.claimsOf(owner)
	if slices.Contains(mine.reverse, addr) {
		return false
	}
	mine.reverse = append(mine.reverse, addr)
	z.reverse[addr] = append(z.reverse[addr], holder{owner: owner, name: name + z.suffix})
	return true
}

// Remove ends owner's hold on name with addr. It reports whether there was one.
func (z *Zone) Remove(owner, name string, addr netip.Addr) bool {
	mine := z.owners[owner]
	if mine == nil {
		return false
	}
	i := slices.Index(mine.names, claim{name: lowerName(name), addr: plainAddr(addr)})
	if i < 0 {
		return false
	}
	z.release(mine.names[i])
	mine.names = slices.Delete(mine.names, i, i+1)
	z.forgetIfEmpty(owner)
	return true
}

// RemoveReverse takes back the reverse name that owner gave addr. It reports whether there was one.
func (z *Zone) RemoveReverse(owner string, addr netip.Addr) bool {
	mine := z.owners[owner]
	if mine == nil {
		return false
	}
	i := slices.Index(mine.reverse, plainAddr(addr))
	if i < 0 {
		return false
	}
	z.releaseReverse(owner, mine.reverse[i])
	mine.reverse = slices.Delete(mine.reverse, i, i+1)
	z.forgetIfEmpty(owner)
	return true
}

// RemoveOwner ends all that owner holds, names and reverse names. It reports whether there was anything.
func (z *Zone) RemoveOwner(owner string) bool {
	mine := z.owners[owner]
	if mine == nil {
		return false
	}
	for _, c := range mine.names {
		z.release(c)
	}
	for _, addr := range mine.reverse {
		z.releaseReverse(owner, addr)
	}
	delete(z.owners, owner)
	return true
}

// Lookup returns the addresses of name, whatever its case and with or without a final dot, and whether the zone knows
// the name. The caller must not change the slice; later changes of the zone do not change it either.
func (z *Zone) Lookup(name string) (addrs []netip.Addr, ok bool) {
	var buf [maxName]byte
	return z.lookup(appendLower(buf[:0], name))
}

// lookup is Lookup for a name in lower case without a final dot.
func (z *Zone) lookup(name []byte) ([]netip.Addr, bool) {
	rec := z.names[string(name)]
	if rec == nil {
		return nil, false
	}
	return rec.addrs, true
}

// Reverse returns the reverse name of addr, with its final dot, and whether it has one.
func (z *Zone) Reverse(addr netip.Addr) (name string, ok bool) {
	holders := z.reverse[plainAddr(addr)]
	if len(holders) == 0 {
		return "", false
	}
	return holders[0].name, true
}

// Names returns the names of the zone in order.
func (z *Zone) Names() []string {
	names := make([]string, 0, len(z.names))
	for name := range z.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// claimsOf returns the claims of owner, making room for them if there are none.
func (z *Zone) claimsOf(owner string) *claims {
	mine := z.owners[owner]
	if mine == nil {
		mine = &claims{}
		z.owners[owner] = mine
	}
	return mine
}

// forgetIfEmpty drops owner once it holds nothing.
func (z *Zone) forgetIfEmpty(owner string) {
	if mine := z.owners[owner]; mine != nil && len(mine.names) == 0 && len(mine.reverse) == 0 {
		delete(z.owners, owner)
	}
}

// release takes one holder from c's record, and the record from the zone with its last holder.
func (z *Zone) release(c claim) {
	if rec := z.names[c.name]; rec != nil && rec.drop(c.addr) {
		delete(z.names, c.name)
	}
}

// releaseReverse takes owner from the holders of addr's reverse name.
func (z *Zone) releaseReverse(owner string, addr netip.Addr) {
	left := slices.DeleteFunc(z.reverse[addr], func(h holder) bool { return h.owner == owner })
	if len(left) == 0 {
		delete(z.reverse, addr)
		return
	}
	z.reverse[addr] = left
}

// hold counts one more holder of addr.
func (r *record) hold(addr netip.Addr) {
	if i := slices.Index(r.addrs, addr); i >= 0 {
		r.refs[i]++
		return
	}
	r.addrs = append(r.addrs, addr)
	r.refs = append(r.refs, 1)
}

// drop counts one holder of addr less, and reports whether no address is left.
func (r *record) drop(addr netip.Addr) (empty bool) {
	i := slices.Index(r.addrs, addr)
	if i < 0 {
		return len(r.addrs) == 0
	}
	if r.refs[i]--; r.refs[i] > 0 {
		return false
	}
	left := make([]netip.Addr, 0, len(r.addrs)-1)
	left = append(left, r.addrs[:i]...)
	r.addrs = append(left, r.addrs[i+1:]...)
	r.refs = slices.Delete(r.refs, i, i+1)
	return len(r.addrs) == 0
}
