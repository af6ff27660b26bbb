package cnm

import (
	"slices"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/vxlan"
)

// overlayWatcher hears of the network's records from the time that the overlay is built until it is taken down; a call
// that comes late does nothing.
type overlayWatcher struct{ o *overlay }

// Put implements Watcher: a record of the network is new or has changed.
func (w *overlayWatcher) Put(r Record) {
	o := w.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watcher != w {
		return
	}
	old, had := o.records[r.Key]
	o.records[r.Key] = r
	if !had || !samePeer(old, r) {
		if had {
			o.removePeer(old)
		}
		o.addPeer(r)
	}
	o.rename(old, r)
	o.balance(old, r)
}

// Delete implements Watcher: a record of the network is gone.
func (w *overlayWatcher) Delete(r Record) {
	o := w.o
	o.mu.Lock()
	defer o.mu.Unlock()
	old, had := o.records[r.Key]
	if o.watcher != w || !had {
		return
	}
	delete(o.records, r.Key)
	o.removePeer(old)
	o.rename(old, Record{})
	o.balance(old, Record{})
}

// samePeer tells whether two records lead to one place.
func samePeer(a, b Record) bool { return a.VTEP == b.VTEP && a.IP == b.IP && a.MAC == b.MAC }

// remote tells whether the endpoint of a record is on another host (O8).
func (o *overlay) remote(r Record) bool { return o.local[r.Key] == nil && r.Node != o.d.c.cfg.Name }

// addPeer makes an endpoint of another host reachable: a permanent neighbour, and where its hardware address is (O8). The
// caller holds mu.
func (o *overlay) addPeer(r Record) {
	if !o.remote(r) || !r.IP.IsValid() {
		return
	}
	o.secureHost(r)
	o.device.Update(func(t *vxlan.Table) {
		t.AddNeighbour(r.Key, r.IP.Addr(), r.MAC)
		if r.VTEP.IsValid() {
			t.AddRemote(r.Key, r.MAC, r.VTEP)
		}
	})
	o.tunnel.AddNeighbour(r.IP.Addr(), r.MAC)
}

// removePeer undoes addPeer. An older claim to the address counts again (O10).
func (o *overlay) removePeer(r Record) {
	if !o.remote(r) || !r.IP.IsValid() {
		return
	}
	o.leaveHost(r)
	o.device.Update(func(t *vxlan.Table) {
		t.RemoveNeighbour(r.Key, r.IP.Addr())
		t.RemoveRemote(r.Key, r.MAC)
	})
	if mac, ok := o.device.Table().Neighbour(r.IP.Addr()); ok {
		o.tunnel.AddNeighbour(r.IP.Addr(), mac)
	} else {
		o.tunnel.RemoveNeighbour(r.IP.Addr())
	}
}

// ownerOf returns who holds the names of a record in the network's zone. Those that an endpoint has as a container are
// the sandbox's own.
func ownerOf(r Record) string { return "record " + r.Key }

// rename makes the names of an endpoint those of r instead of those of old. The caller holds mu.
func (o *overlay) rename(old, r Record) {
	if o.n.cfg.Ingress {
		return // D12
	}
	had, has := o.namesOf(old), o.namesOf(r)
	if slices.Equal(had, has) {
		return
	}
	o.zone.Update(func(z *dns.Zone) {
		for _, n := range has {
			if !slices.Contains(had, n) {
				n.add(z)
			}
		}
		for _, n := range had {
			if !slices.Contains(has, n) {
				n.remove(z)
			}
		}
	})
}

// namesOf returns the names that a record gives, of the container only if that is on another host: sandboxes see to
// their own. A task that is about to go has no names any more, but its service has, as long as the task stands behind its virtual
// address (rmServiceBinding in libnetwork's service_common.go).
func (o *overlay) namesOf(r Record) []nameRecord {
	var out []nameRecord
	owner, ip := ownerOf(r), r.IP.Addr()
	if r.Key == "" || !ip.IsValid() {
		return nil
	}
	if o.remote(r) {
		for _, name := range append([]string{r.Name}, r.Aliases...) {
			out = append(out, nameRecord{owner, name, ip, false})
		}
		if r.Name != "" {
			out = append(out, nameRecord{owner, r.Name, ip, true})
		}
	}
	s := r.Service
	leaving := s != nil && r.Disabled && o.d.c.cfg.Modern && o.stands(r) // with weight 0 (S14)
	if s == nil || r.Disabled && !leaving {
		return out
	}
	to := s.VIP // D9
	if !to.IsValid() {
		to = ip // S12
	}
	for _, name := range append([]string{s.ServiceName}, s.Aliases...) {
		out = append(out, nameRecord{owner, name, to, false})
		if !leaving {
			out = append(out, nameRecord{owner, "tasks." + name, ip, false}) // D10
		}
	}
	if leaving {
		return out
	}
	return append(out, nameRecord{owner, s.TaskName, ip, false}) // D11
}
