package fabric

import "sync"

// blockLen is how many frames move between a processor's list and the common one at a time.
const blockLen = 64

// maxBlocks bounds the common list; frames beyond it go to the garbage collector.
const maxBlocks = 512

// block is a stack of free frames.
type block struct {
	n int
	f [blockLen]*Frame
}

// local holds one block per processor: the pool hands the block last put back to the same processor without a lock.
var local sync.Pool

// common holds full blocks that the frees of one processor leave for the allocations of another.
var common struct {
	mu          sync.Mutex
	full, empty []*block
}

// get takes a frame off the free list, or makes one.
func get() *Frame {
	b, _ := local.Get().(*block)
	if b == nil || b.n == 0 {
		if b = fullBlock(b); b == nil {
			return new(Frame)
		}
	}
	b.n--
	f := b.f[b.n]
	b.f[b.n] = nil
	local.Put(b)
	return f
}

// getAll fills batch with frames off the free list, and makes those that it lacks.
func getAll(batch []*Frame) {
	b, _ := local.Get().(*block)
	for len(batch) > 0 {
		if b == nil || b.n == 0 {
			if b = fullBlock(b); b == nil {
				for i := range batch {
					batch[i] = new(Frame)
				}
				return
			}
		}
		n := min(b.n, len(batch))
		took := b.f[b.n-n : b.n]
		copy(batch, took)
		clear(took)
		b.n -= n
		batch = batch[n:]
	}
	if b != nil {
		local.Put(b)
	}
}

// fullBlock trades the empty block b (or nil) for a full one; nil if there is none.
func fullBlock(b *block) *block {
	common.mu.Lock()
	defer common.mu.Unlock()
	n := len(common.full)
	if n == 0 {
		if b != nil {
			common.empty = append(common.empty, b)
		}
		return nil
	}
	if b != nil {
		common.empty = append(common.empty, b)
	}
	full := common.full[n-1]
	common.full[n-1] = nil
	common.full = common.full[:n-1]
	return full
}

// put lays a frame on the free list.
func put(f *Frame) {
	b, _ := local.Get().(*block)
	if b == nil {
		b = emptyBlock(nil)
	} else if b.n == blockLen {
		b = emptyBlock(b)
	}
	b.f[b.n] = f
	b.n++
	local.Put(b)
}

// putAll lays frames on the free list.
func putAll(batch []*Frame) {
	if len(batch) == 0 {
		return
	}
	b, _ := local.Get().(*block)
	for len(batch) > 0 {
		if b == nil || b.n == blockLen {
			b = emptyBlock(b)
		}
		n := copy(b.f[b.n:], batch)
		b.n += n
		batch = batch[n:]
	}
	local.Put(b)
}

// emptyBlock trades the full block b (or nil) for an empty one.
func emptyBlock(b *block) *block {
	common.mu.Lock()
	defer common.mu.Unlock()
	if b != nil {
		if len(common.full) >= maxBlocks {
			*b = block{}
			return b
		}
		common.full = append(common.full, b)
	}
	if n := len(common.empty); n > 0 {
		e := common.empty[n-1]
		common.empty = common.empty[:n-1]
		return e
	}
	return new(block)
}
