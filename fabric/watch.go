package fabric

import (
	"slices"
	"sync"
	"sync/atomic"
)

// watchers are those who look at something. The zero value has none. All methods may be called at once from several
// goroutines; who only looks pays an atomic load.
type watchers[T any] struct {
	list atomic.Pointer[[]*T] // never changed, only replaced
	mu   sync.Mutex           // for those who replace list
}

// Add adds a watcher, which sees everything from now on until remove is called. A call that is under way may still end
// after remove has returned.
func (w *watchers[T]) Add(watcher T) (remove func()) {
	entry := &watcher
	w.mu.Lock()
	defer w.mu.Unlock()
	w.storeLocked(append(slices.Clip(w.all()), entry))
	return func() { w.remove(entry) }
}

func (w *watchers[T]) remove(entry *T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.all(), entry); i >= 0 {
		w.storeLocked(slices.Delete(slices.Clone(w.all()), i, i+1))
	}
}

func (w *watchers[T]) all() []*T {
	if l := w.list.Load(); l != nil {
		return *l
	}
	return nil
}

func (w *watchers[T]) storeLocked(l []*T) {
	if len(l) == 0 {
		w.list.Store(nil)
		return
	}
	w.list.Store(&l)
}

// DropTap looks at the frames that are dropped.
type DropTap interface {
	// Dropped is called on the data path, from several goroutines at once, before f is freed. It must neither block
	// nor change f, and must not keep it after it returned; a Clone it may keep.
	Dropped(f *Frame, reason DropReason, place string)
}

// WatchDrops shows to tap every frame that Drop drops from now on, until remove is called.
func (c *Counters) WatchDrops(tap DropTap) (remove func()) { return c.dropTaps.Add(tap) }
