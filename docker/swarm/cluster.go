package swarm

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/ipam"
)

// Config says what a cluster is. Its zero value works.
type Config struct {
	Seed   uint64       // seeds the ids; 0 is a seed like any other
	Modern bool         // number and choose as today's swarms do, not as those of 2017
	Pools  []ipam.Range // where subnets come from; nil: ipam.Global()
	// RestartDelay is how long the successor of a task that ended by itself waits; 0: 5 s.
	RestartDelay time.Duration
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: silent
}

// Numbers of swarm.
const (
	firstVNI           = 256  // of engines before 17.03 (O1)
	firstModernVNI     = 4096 // since
	restartDelay       = 5 * time.Second
	taskHistory        = 5 // rows per slot that are kept
	firstPort          = 30000
	lastPort           = 32767
	ingressSubnet      = "10.255.0.0/16" // until 19.03 (O2)
	defaultIngressName = cnm.NetworkIngress
)

// Cluster is a swarm. All methods may be called at once from several goroutines. Nothing runs anywhere until Run does.
type Cluster struct {
	cfg Config
	log *slog.Logger
	bus bus

	mu       sync.Mutex
	luck     *rand.Rand          // guarded by mu
	pools    *ipam.Allocator     // with its pools guarded by mu
	networks map[string]*network // by id, guarded by mu
	nodes    []*node             // in the order in which they joined, guarded by mu
	services []*service          // in the order in which they were created, guarded by mu
	tasks    []*task             // likewise, guarded by mu
	nextVNI  uint32              // guarded by mu; where the search goes on (modern)
	changed  chan struct{}       // guarded by mu; closed and replaced at each change
}

// New returns a cluster without nodes, with the network ingress.
func New(cfg Config) *Cluster {
	if cfg.Pools == nil {
		cfg.Pools = ipam.Global()
	}
	if cfg.RestartDelay == 0 {
		cfg.RestartDelay = restartDelay
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Cluster{
		cfg: cfg, log: cfg.Log, luck: rand.New(rand.NewPCG(cfg.Seed, 0x5357_41524d)), pools: ipam.New(cfg.Pools...),
		networks: make(map[string]*network), nextVNI: firstVNI, changed: make(chan struct{}),
	}
	if cfg.Modern {
		c.nextVNI = firstModernVNI
	}
	c.bus.idle = c.wake
	spec := NetworkSpec{Name: defaultIngressName}
	if !cfg.Modern {
		spec.Subnet = netip.MustParsePrefix(ingressSubnet)
	}
	if _, err := c.addNetwork(spec, true); err != nil { // only strange pools have no room for one network
		c.log.Warn("no ingress network", "error", err)
	}
	return c
}

// wake tells all who wait that something has changed.
func (c *Cluster) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify()
}

// notify is wake for who holds mu.
func (c *Cluster) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// named is anything that has an id and a name.
type named interface{ names() (id, name string) }

// find returns the object of that name or id, or the one whose id begins so. A name comes first (I31), without regard to
// case (I32).
func find[T named](all []T, ref string) (T, bool) {
	var found T
	matches := 0
	for _, o := range all {
		id, name := o.names()
		switch {
		case strings.EqualFold(name, ref) || id == ref:
			return o, true
		case ref != "" && strings.HasPrefix(id, ref):
			found = o
			matches++
		}
	}
	return found, matches == 1
}

// WaitConverged waits until every service has all its tasks running, nothing is being stopped, and every node has heard
// of every endpoint. The error of a wait that ctx ended says what is missing.
func (c *Cluster) WaitConverged(ctx context.Context) error {
	for {
		c.mu.Lock()
		missing, changed := c.unfinished(), c.changed
		c.mu.Unlock()
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for services to converge: %s: %w", strings.Join(missing, "; "), ctx.Err())
		case <-changed:
		}
	}
}

// unfinished tells what is not as it is to be.
func (c *Cluster) unfinished() []string {
	var missing []string
	for _, t := range c.tasks {
		switch {
		case t.Desired == Running && t.State != Running:
			text := fmt.Sprintf("%s is %s", t.Name(), strings.ToLower(t.State.String()))
			if t.Err != "" {
				text += " (" + t.Err + ")"
			}
			missing = append(missing, text)
		case t.Desired != Running && (!t.ended() || t.stop != nil):
			missing = append(missing, t.Name()+" is being stopped")
		}
	}
	if n := c.bus.waiting.Load(); n > 0 && len(missing) == 0 {
		missing = append(missing, fmt.Sprintf("%d records are on their way", n))
	}
	return missing
}
