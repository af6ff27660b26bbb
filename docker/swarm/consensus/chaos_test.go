package consensus_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// reigns is a log that keeps who became leader in which term.
type reigns struct {
	slog.Handler
	mu    sync.Mutex
	terms map[uint64]string // guarded by mu
	twice []string          // guarded by mu
}

// Enabled implements slog.Handler.
func (r *reigns) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (r *reigns) Handle(_ context.Context, e slog.Record) error {
	if e.Message != "leader" {
		return nil
	}
	var node string
	var term uint64
	e.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "node":
			node = a.Value.String()
		case "term":
			term = a.Value.Uint64()
		}
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.terms[term]; ok {
		r.twice = append(r.twice, fmt.Sprintf("term %d: %s and %s", term, old, node))
	}
	r.terms[term] = node
	return nil
}

// Cables are pulled and managers crash at random while others write. Each term has one leader, and what was acknowledged
// is there once, in the same order everywhere.
func TestChaos(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { chaos(t, seed) })
	}
}

func chaos(t *testing.T, seed uint64) {
	r := &reigns{Handler: slog.DiscardHandler, terms: make(map[uint64]string)}
	setup := func(c *consensus.Config) { c.Log, c.SnapshotEvery, c.KeepEntries = slog.New(r), 30, 5 }
	l := cluster(t, 3, setup)
	luck := rand.New(rand.NewPCG(seed, 1))

	ctx, stop := context.WithCancel(l.ctx)
	var mu sync.RWMutex // held while a host's manager is replaced
	var writers sync.WaitGroup
	acked := make([][]string, len(l.hosts))
	var count atomic.Int64 // of them
	for i, h := range l.hosts {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				mu.RLock()
				node := h.Node
				mu.RUnlock()
				command := fmt.Sprintf("%s-%d", h.name, n)
				short, cancel := context.WithTimeout(ctx, 30*tick)
				if _, err := node.Propose(short, []byte(command)); err == nil {
					acked[i] = append(acked[i], command)
					count.Add(1)
				}
				<-time.After(tick / 4) // a load, not a flood
				cancel()
			}
		})
	}
	for range 8 {
		h := l.hosts[luck.IntN(len(l.hosts))]
		if luck.IntN(3) == 0 {
			mu.Lock()
			h.down()
			h.up(setup)
			mu.Unlock()
		} else {
			h.cable.SetUp(false)
		}
		<-time.After(time.Duration(5+luck.IntN(25)) * tick) // long enough for an election, or not
		for _, other := range l.hosts {
			other.cable.SetUp(true)
		}
		<-time.After(time.Duration(luck.IntN(20)) * tick)
	}
	l.eventually("enough commands are acknowledged", func() bool { return count.Load() >= 20 }) // a busy machine takes longer
	stop()
	writers.Wait()
	l.leader(l.hosts...)
	l.hosts[0].mustPropose("end")
	check(t, l, r, slices.Concat(acked...))
}

func check(t *testing.T, l *lab, r *reigns, acked []string) {
	t.Helper()
	all := l.hosts[0].notes.all()
	for _, h := range l.hosts[1:] {
		h.has(once(slices.Clone(all))...)
	}
	times := make(map[string]int)
	for _, c := range all {
		times[c]++
		if times[c] > 1 {
			t.Errorf("%s was applied %d times", c, times[c])
		}
	}
	for _, c := range acked {
		if times[c] == 0 {
			t.Errorf("%s was acknowledged, and is lost", c)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.twice) > 0 {
		t.Errorf("W18: two leaders: %v", r.twice)
	}
	t.Logf("%d terms with a leader, %d of %d commands acknowledged", len(r.terms), len(acked), len(all))
}
