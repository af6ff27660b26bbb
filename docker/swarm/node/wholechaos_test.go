package node

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gogotypes "github.com/gogo/protobuf/types"
	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

var wholeSeeds = flag.Uint64("chaos.whole", 2, "how many seeds TestChaosWhole plays, beginning with -chaos.from")

// settled is the time after which all tables are to be as the store says, from when all cables are whole again and all nodes have heard what
// the leader wants of them.
var settled = flag.Duration("chaos.settled", 10*time.Second, "how long tables may be wrong after all is healed")

// TestChaosWhole has whole engines in virtual time: hosts with containers, overlays, the routing mesh and gossip lose their power, are
// parted, and have bad cables, while services come, go and change. Then FDB, DNS and IPVS tables are as the leader's
// store says, some seconds after healing; and each term has had one leader, what was acknowledged is there, no address is given twice.
//
//	go test ./docker/swarm/node -run TestChaosWhole -v -chaos.whole 200 -timeout 1h
//	go test ./docker/swarm/node -run TestChaosWhole -v -chaos.whole 1 -chaos.from SEED
func TestChaosWhole(t *testing.T) {
	if !virtual {
		virtually(t, "-chaos.whole", fmt.Sprint(*wholeSeeds), "-chaos.from", fmt.Sprint(*chaosFrom), "-chaos.rounds", fmt.Sprint(*chaosRounds),
			"-chaos.settled", settled.String())
		return
	}
	for seed := *chaosFrom; seed < *chaosFrom+*wholeSeeds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { playWhole(t, seed) })
	}
}

// wholeChaos is one run.
type wholeChaos struct {
	*chaos
	began    time.Time
	history  []string        // guarded by mu
	networks []string        // ids
	names    []string        // of services that were acknowledged; guarded by mu
	living   []string        // ids of services; guarded by mu
	told     map[string]bool // faults that were told
	// back is how long the swarm may take, from when all cables are whole again, to have a leader and a session of each node with it: an
	// election by Docker's times, and an agent's wait between two calls (W5). Tables have as long again before they are looked at no more.
	back time.Duration
}

// newWhole brings up a swarm of three managers and two workers: of today's Docker or of that of 2017, by its seed.
func newWhole(t *testing.T, seed uint64) *wholeChaos {
	t.Helper()
	modern := seed%2 == 1 // the odd ones: whoever changes what balances today plays some of them
	l := newLab(t, 0, docker, func(t *Times) {
		t.SnapshotEvery, t.KeepEntries = 60, 10
		if !modern {
			t.ElectionTicks = 3
		}
	})
	r := &reigns{Handler: slog.DiscardHandler, terms: make(map[uint64]string)}
	l.log = slog.New(r)
	for range 5 {
		h := l.plugWhole(modern)
		h.cable.Seed(seed)
		h.switchOn()
	}
	l.hosts[0].begin(InitOptions{})
	tokens := l.hosts[0].tokens()
	for i, h := range l.hosts[1:] {
		h.joins(l.hosts[0], []string{tokens.Manager, tokens.Manager, tokens.Worker, tokens.Worker}[i])
	}
	c := &wholeChaos{began: time.Now(), told: map[string]bool{}, back: time.Minute,
		chaos: &chaos{lab: l, r: r, luck: rand.New(rand.NewPCG(seed, 1)), acked: make(map[string]string)}}
	c.networks = []string{c.overlay(l.hosts[0], "front", "10.20.0.0/24"), c.overlay(l.hosts[0], "back", "10.21.0.0/24")}
	return c
}

func playWhole(t *testing.T, seed uint64) {
	c := newWhole(t, seed)
	defer func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s\nagain: go test ./docker/swarm/node -run TestChaosWhole -v -chaos.whole 1 -chaos.from %d -chaos.rounds %d",
				seed, strings.Join(c.history, "\n"), seed, *chaosRounds)
		}
	}()
	ctx, stop := context.WithCancel(c.ctx)
	var writers sync.WaitGroup
	for i := range 2 {
		luck := rand.New(rand.NewPCG(seed, uint64(2+i)))
		writers.Go(func() { c.write(ctx, i, luck) })
	}
	c.pause(5 * time.Second)
	for range *chaosRounds {
		c.round()
	}
	stop()
	writers.Wait()
	c.note("all is healed")
	c.settles()
	if !t.Failed() {
		c.check()
	}
}

// round has one thing or two go wrong, and puts it right after a while that is long enough for an election, or not.
func (c *wholeChaos) round() {
	var undo []func()
	for range 1 + c.luck.IntN(2) {
		undo = append(undo, c.hurt())
	}
	c.pause(time.Duration(1+c.luck.IntN(45)) * time.Second)
	for _, f := range undo {
		f()
	}
	if c.luck.IntN(2) == 0 {
		c.pause(time.Duration(c.luck.IntN(20)) * time.Second)
	}
}

func (c *wholeChaos) pause(d time.Duration) { <-c.within(d).Done() }

// note takes down what happens.
func (c *wholeChaos) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line := fmt.Sprintf("%7.2f ", time.Since(c.began).Seconds()) + fmt.Sprintf(format, args...)
	c.history = append(c.history, line[:min(len(line), 150)])
}

// hurt makes something go wrong, and returns what puts it right.
func (c *wholeChaos) hurt() (undo func()) {
	h := c.lab.hosts[c.luck.IntN(len(c.lab.hosts))]
	switch c.luck.IntN(5) {
	case 0, 1:
		if h.off == nil {
			return func() {}
		}
		c.note("%s loses its power", h.name)
		h.cable.SetUp(false)
		c.power(h, false)
		return func() {
			c.note("%s has power again", h.name)
			h.cable.SetUp(true)
			c.power(h, true)
		}
	case 2:
		return c.part(c.luck.IntN(3) == 0)
	case 3:
		bad := fabric.Impairment{Loss: 0.4 * c.luck.Float64(), Delay: time.Duration(c.luck.IntN(100)) * time.Millisecond, Jitter: 20 * time.Millisecond,
			Duplicate: 0.1}
		c.note("the cable of %s is bad: %+v", h.name, bad)
		impair(h, bad)
		return func() {
			c.note("the cable of %s is good", h.name)
			impair(h, fabric.Impairment{})
		}
	}
	c.note("the cable of %s is pulled", h.name)
	h.cable.SetUp(false)
	return func() {
		c.note("the cable of %s is in", h.name)
		h.cable.SetUp(true)
	}
}

// part has some hosts not hear the others; and the others not them, unless it is one way.
func (c *wholeChaos) part(oneWay bool) (undo func()) {
	some := slices.Clone(c.lab.hosts)
	c.luck.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	n := 1 + c.luck.IntN(len(some)-1)
	some, others := some[:n], some[n:]
	c.note("%s and %s are parted, one way: %v", hostNames(some), hostNames(others), oneWay)
	c.deafen(some, others)
	if !oneWay {
		c.deafen(others, some)
	}
	return func() {
		c.note("%s and %s are one again", hostNames(some), hostNames(others))
		c.deafen(some, nil)
		c.deafen(others, nil)
	}
}

func hostNames(hosts []*host) string {
	var names []string
	for _, h := range hosts {
		names = append(names, h.name)
	}
	return strings.Join(names, "+")
}

// deafen has hosts not hear others; none: they hear all.
func (c *wholeChaos) deafen(hosts, others []*host) {
	macs := map[wire.MAC]bool{}
	for _, o := range others {
		macs[o.whole.mac] = true
	}
	for _, h := range hosts {
		if len(macs) == 0 {
			h.cable.A().SetGate(nil)
			continue
		}
		h.cable.A().SetGate(func(f *fabric.Frame) fabric.DropReason {
			if b := f.Linear(); len(b) >= wire.EthernetLen && macs[wire.MAC(b[6:12])] {
				return fabric.DropPartition
			}
			return 0
		})
	}
}

// write creates, changes and removes services by way of managers that have power.
func (c *wholeChaos) write(ctx context.Context, i int, luck *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		c.hosts.RLock()
		up := slices.DeleteFunc(slices.Clone(c.lab.hosts[:3]), func(h *host) bool { return h.off == nil })
		if len(up) == 0 {
			up = c.lab.hosts[:1]
		}
		control := up[luck.IntN(len(up))].Control()
		c.hosts.RUnlock()
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		c.mu.Lock()
		living := len(c.living)
		id := ""
		if living > 0 {
			id = c.living[luck.IntN(living)]
		}
		c.mu.Unlock()
		switch k := luck.IntN(10); {
		case living < 4 || living < 8 && k < 3:
			c.create(short, control, fmt.Sprintf("svc-%d-%d", i, n), luck)
		case k < 5:
			c.mu.Lock()
			c.living = slices.DeleteFunc(c.living, func(other string) bool { return other == id })
			name := c.acked[id]
			delete(c.acked, id)
			c.mu.Unlock()
			_, err := control.RemoveService(short, &swarmapi.RemoveServiceRequest{ServiceID: id}) // it may be there, or not
			c.note("%s removed: %v", name, err)
		default:
			c.change(short, control, id, luck)
		}
		cancel()
		select {
		case <-time.After(time.Duration(500+luck.IntN(4000)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// create makes a service of one of several kinds.
func (c *wholeChaos) create(ctx context.Context, control swarmapi.ControlServer, name string, luck *rand.Rand) {
	spec := &swarmapi.ServiceSpec{
		Annotations: swarmapi.Annotations{Name: name},
		Task: swarmapi.TaskSpec{
			Runtime: &swarmapi.TaskSpec_Container{Container: &swarmapi.ContainerSpec{
				Image: "busybox", Args: []string{"sleep", "infinity"}, StopGracePeriod: gogotypes.DurationProto(time.Second),
			}},
		},
		Mode: &swarmapi.ServiceSpec_Replicated{Replicated: &swarmapi.ReplicatedService{Replicas: uint64(1 + luck.IntN(5))}},
	}
	first := luck.IntN(2)
	for _, id := range [][]string{c.networks[first : first+1], c.networks}[luck.IntN(2)] {
		spec.Task.Networks = append(spec.Task.Networks, &swarmapi.NetworkAttachmentConfig{Target: id})
	}
	switch luck.IntN(4) {
	case 0:
		spec.Endpoint = &swarmapi.EndpointSpec{Mode: swarmapi.ResolutionModeDNSRoundRobin}
	case 1:
		spec.Mode = &swarmapi.ServiceSpec_Global{Global: &swarmapi.GlobalService{}}
	case 2:
		spec.Endpoint = &swarmapi.EndpointSpec{Ports: []*swarmapi.PortConfig{{Protocol: swarmapi.ProtocolTCP, TargetPort: 80, PublishMode: swarmapi.PublishModeIngress}}}
	}
	answer, err := control.CreateService(ctx, &swarmapi.CreateServiceRequest{Spec: spec})
	c.note("%s created: %v", name, err)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[answer.Service.ID] = name
	c.names = append(c.names, name)
	c.living = append(c.living, answer.Service.ID)
}

// change scales a service, or has its tasks replaced. It leaves ports alone: where a leader begins while they change, swarmkit's allocator
// notes the new ones with tasks that have the old ones, which then are never replaced (allocateTask).
func (c *wholeChaos) change(ctx context.Context, control swarmapi.ControlServer, id string, luck *rand.Rand) {
	answer, err := control.GetService(ctx, &swarmapi.GetServiceRequest{ServiceID: id})
	if err != nil {
		return
	}
	s := answer.Service
	if r := s.Spec.GetReplicated(); r != nil && luck.IntN(2) == 0 {
		r.Replicas = uint64(luck.IntN(6))
	} else {
		s.Spec.Task.ForceUpdate++
	}
	_, err = control.UpdateService(ctx, &swarmapi.UpdateServiceRequest{ServiceID: id, ServiceVersion: &s.Meta.Version, Spec: &s.Spec})
	c.note("%s changed (%v, forced %d): %v", s.Spec.Annotations.Name, s.Spec.GetReplicated(), s.Spec.Task.ForceUpdate, err)
}

// settles waits until the tables of all hosts are as the leader's store says, and stay so. What is wrong for longer than they have,
// from when all is healed, there is a leader, and all nodes have heard what it wants of them, is a fault.
func (c *wholeChaos) settles() {
	c.Helper()
	const look, stays = 250 * time.Millisecond, 3 * time.Second
	healed := time.Now()
	met, wrong, changed := healed, healed, healed // since when all have a session; when tables were wrong, and the store changed, last
	var last string
	since := map[string]time.Time{} // what is wrong
	for now := healed; now.Sub(wrong) < stays || now.Sub(changed) < stays; now = time.Now() {
		t, ok := c.truth()
		if ok && t.text != last {
			last, changed = t.text, now
		}
		if !ok || !t.ready {
			met, wrong = now, now
			clear(since)
		} else if c.compare(t, now, since) > 0 {
			wrong = now
		}
		if met.Sub(healed) > c.back {
			c.Errorf("%v after healing not all nodes have a session with a leader", c.back)
			break
		}
		if now.Sub(met) > c.back {
			c.Errorf("tables are still wrong: %s", strings.Join(slices.Sorted(maps.Keys(since)), "\n"))
			break
		}
		c.pause(look)
	}
	c.Logf("tables are right %.2f s after healing; all nodes had a session with the leader after %.2f s, and the store changed last after %.2f s",
		wrong.Sub(healed).Seconds(), met.Sub(healed).Seconds(), changed.Sub(healed).Seconds())
}

// compare holds the tables of all hosts against the truth, and returns how much is wrong.
func (c *wholeChaos) compare(t *truth, now time.Time, since map[string]time.Time) (wrong int) {
	c.Helper()
	is := map[string]bool{}
	for _, h := range c.lab.hosts {
		for _, d := range t.differences(h, c.names) {
			is[d] = true
			if began, ok := since[d]; !ok {
				since[d] = now
			} else if now.Sub(began) > *settled && !c.told[d] {
				c.told[d] = true
				c.Errorf("wrong for more than %v: %s", *settled, d)
			}
		}
	}
	maps.DeleteFunc(since, func(d string, _ time.Time) bool { return !is[d] })
	return len(is)
}
