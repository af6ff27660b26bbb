package lab

import (
	"context"
	"fmt"
	"io/fs"
	"sync"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/netns"
)

// namedNamespaces are the namespaces that people made on a machine with ip netns add. It implements shell.Namespaces.
type namedNamespaces struct {
	lab     *Lab
	machine *machine

	mu     sync.Mutex
	byName map[string]*namedNamespace           // guarded by mu
	all    map[*netns.Namespace]*namedNamespace // guarded by mu; with those that have no name any more
	made   uint64                               // guarded by mu; how many there were
}

// namedNamespace is one of them.
type namedNamespace struct {
	ns    *netns.Namespace
	end   context.CancelFunc
	users int  // commands that run in it
	gone  bool // its name was taken away
}

var _ shell.Namespaces = (*namedNamespaces)(nil)

// Add implements shell.Namespaces: the namespace runs among the goroutines of the lab. As on Linux its lo is down.
func (n *namedNamespaces) Add(name string) error {
	g := n.lab.running()
	if g == nil {
		return fmt.Errorf("add namespace %s on %s: the lab does not run", name, n.machine.name)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byName[name] != nil {
		return fmt.Errorf("add namespace %s on %s: %w", name, n.machine.name, fs.ErrExist)
	}
	n.made++
	full := n.machine.name + "/" + name
	ns := netns.New(netns.Config{Name: full, Log: n.lab.log, Watch: n.lab.watchContainer,
		Seed: derive(n.lab.seed, fmt.Sprintf("netns %s %d", full, n.made))})
	ns.SetSegmentation(n.machine.ns.Segmentation())
	if lo, ok := ns.Interface("lo"); ok {
		lo.SetUp(false)
	}
	one := &namedNamespace{ns: ns}
	if n.byName == nil {
		n.byName, n.all = map[string]*namedNamespace{}, map[*netns.Namespace]*namedNamespace{}
	}
	n.byName[name], n.all[ns] = one, one
	life, end := context.WithCancel(context.Background())
	one.end = end
	g.spawn(func(group context.Context) error {
		defer end()
		defer context.AfterFunc(group, end)()
		return ns.Run(life)
	})
	return nil
}

// Delete implements shell.Namespaces.
func (n *namedNamespaces) Delete(name string) error {
	n.mu.Lock()
	one := n.byName[name]
	if one == nil {
		n.mu.Unlock()
		return fmt.Errorf("delete namespace %s of %s: %w", name, n.machine.name, fs.ErrNotExist)
	}
	delete(n.byName, name)
	one.gone = true
	last := n.lastLocked(one)
	n.mu.Unlock()
	if !last {
		return nil
	}
	return n.end(one)
}

// lastLocked forgets a namespace that has neither name nor users, which the caller is to end.
func (n *namedNamespaces) lastLocked(one *namedNamespace) bool {
	if !one.gone || one.users > 0 {
		return false
	}
	delete(n.all, one.ns)
	return true
}

// end ends a namespace that was forgotten: cables go back to the machine, and the other ends of veth pairs go with theirs.
func (n *namedNamespaces) end(one *namedNamespace) error {
	err := one.ns.Dissolve(n.machine.ns)
	one.end()
	<-one.ns.Done()
	return err
}

// All implements shell.Namespaces.
func (n *namedNamespaces) All() map[string]*netns.Namespace {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make(map[string]*netns.Namespace, len(n.byName))
	for name, one := range n.byName {
		all[name] = one.ns
	}
	return all
}

// Enter implements shell.Namespaces.
func (n *namedNamespaces) Enter(ns *netns.Namespace) (leave func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.all[ns]
	if one == nil {
		return func() {}
	}
	one.users++
	return func() {
		n.mu.Lock()
		one.users--
		last := n.lastLocked(one)
		n.mu.Unlock()
		if !last {
			return
		}
		if err := n.end(one); err != nil {
			n.lab.log.Warn("namespace ended", "namespace", one.ns.Name(), "err", err)
		}
	}
}

// namespaces returns them all, with those that have no name any more.
func (n *namedNamespaces) namespaces() []*netns.Namespace {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*netns.Namespace, 0, len(n.all))
	for ns := range n.all {
		all = append(all, ns)
	}
	return all
}
