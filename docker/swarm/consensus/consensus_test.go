package consensus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

func TestThreeManagersAgree(t *testing.T) {
	l := cluster(t, 3)
	for i, h := range l.hosts {
		command := fmt.Sprint("c", i)
		n, err := strconv.Atoi(h.proposed(command))
		got := h.notes.all()
		if err != nil || n < 1 || n > len(got) || once(got[n-1 : n])[0] != command {
			t.Errorf("%s has %q when its proposal is answered with %d, %v", h.name, got, n, err)
		}
	}
	for _, h := range l.hosts {
		h.has("c0", "c1", "c2")
	}
	l.eventually("W18: one leader, and all are seen", func() bool {
		lead := l.leader(l.hosts...)
		leaders := 0
		for _, h := range l.hosts {
			s := h.status()
			if s.State == "Leader" {
				leaders++
			}
			if len(s.Peers) != 3 || s.Leader.Node != lead.name || s.Term == 0 || s.Commit < 5 || s.Last < s.Commit {
				return false
			}
			for _, p := range s.Peers {
				if !p.Reachable || p.Leader != (p.Node == lead.name) {
					return false
				}
			}
		}
		return leaders == 1
	})
}

func TestCutLeaderIsReplaced(t *testing.T) {
	l := cluster(t, 3)
	l.hosts[1].mustPropose("before")
	old := l.leader(l.hosts...)
	old.cable.SetUp(false)
	rest := l.without(old)
	l.leader(rest...) // W19: another leads
	rest[0].mustPropose("during")
	l.eventually("W19: the minority's leader steps down", func() bool { return old.status().State != "Leader" })
	l.eventually("the one cut off is seen", func() bool {
		for _, p := range l.leader(rest...).status().Peers {
			if p.Node == old.name {
				return !p.Reachable
			}
		}
		return false
	})
	old.cable.SetUp(true)
	old.has("before", "during")
	l.eventually("the one that came back follows, or leads", func() bool {
		lead, state := l.leader(l.hosts...), old.status().State
		return lead != old && state == "Follower" || lead == old && state == "Leader"
	})
}

func TestQuorumLost(t *testing.T) {
	l := cluster(t, 3)
	last := l.hosts[0]
	last.mustPropose("kept")
	for _, h := range l.without(last) {
		if err := h.down(); err != nil {
			t.Errorf("Run = %v when its context ends", err)
		}
	}
	l.eventually("W6: quorum is lost", func() bool {
		_, err := last.propose("lost")
		return errors.Is(err, consensus.ErrNoLeader)
	})
	want := "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. " +
		"Make sure more than half of the managers are online."
	if _, err := last.propose("lost"); err == nil || err.Error() != want {
		t.Errorf("W6: Propose = %v; want %s", err, want)
	}
	if err := last.Leave(l.ctx); !errors.Is(err, consensus.ErrNoLeader) {
		t.Errorf("Leave without quorum = %v", err)
	}
	if got := once(last.notes.all()); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("without quorum the machine has %q", got)
	}
	l.hosts[1].up() // what its disk holds is enough
	l.leader(last, l.hosts[1])
	last.mustPropose("after")
}

func TestForceNewCluster(t *testing.T) {
	l := cluster(t, 3)
	l.hosts[2].mustPropose("kept")
	l.hosts[1].has("kept")
	for _, h := range l.hosts {
		h.down()
	}
	alone := l.hosts[1]
	alone.up(func(c *consensus.Config) { c.ForceNewCluster = true })
	alone.waitReady()
	alone.has("kept")
	alone.mustPropose("more")
	if s := alone.status(); len(s.Peers) != 1 || s.State != "Leader" {
		t.Errorf("W8: Status = %+v", s)
	}
	other := l.hosts[2]
	other.up()
	select {
	case err := <-other.ended:
		other.ended <- err
		if !errors.Is(err, consensus.ErrRemoved) {
			t.Errorf("a member of the old cluster: Run = %v; want %v", err, consensus.ErrRemoved)
		}
	case <-time.After(patience):
		t.Error("a member of the old cluster goes on")
	}
	alone.down()
	alone.up()
	alone.waitReady()
	alone.has("kept", "more")
}

func TestRestartRecovers(t *testing.T) {
	l := cluster(t, 1)
	m := l.hosts[0]
	m.mustPropose("a", "b")
	term := m.status().Term
	m.down()
	if _, err := m.propose("x"); !errors.Is(err, consensus.ErrStopped) {
		t.Errorf("Propose after the end = %v", err)
	}
	m.up()
	m.waitReady()
	m.mustPropose("c")
	m.has("a", "b", "c")
	if got := m.status().Term; got <= term {
		t.Errorf("the term is %d after the restart, and was %d", got, term)
	}
	second := must(consensus.New(consensus.Config{
		Addr: "192.168.1.1:2378", Network: m.ns, Identity: func() *ca.Identity { return m.id }, Storage: m.disk, Machine: &notes{},
	}))
	if err := second.Run(l.ctx); err == nil {
		t.Error("a second manager on the same storage runs")
	}
}

func TestSnapshotAndCompaction(t *testing.T) {
	small := func(c *consensus.Config) { c.SnapshotEvery, c.KeepEntries = 20, 5 }
	l := cluster(t, 3, small)
	away := l.hosts[2]
	away.down()
	var want []string
	for i := range 60 {
		want = append(want, fmt.Sprint("c", i))
	}
	l.hosts[0].mustPropose(want...)
	s := l.hosts[0].status()
	if s.First < 30 || s.Snapshot < 40 || s.Last-s.First > 40 {
		t.Errorf("W18: the log is from %d to %d, snapshot %d", s.First, s.Last, s.Snapshot)
	}
	away.up(small) // it is behind what the log still holds
	away.has(want...)
	late := l.plug(l.authority)
	late.up(small)
	late.waitReady()
	late.has(want...)
	l.hosts[0].down()
	l.hosts[0].up(small)
	l.hosts[0].has(want...)
}

func TestForeignCertificateGetsNowhere(t *testing.T) {
	l := cluster(t, 1)
	foreign := must(ca.New(ca.Config{Cluster: "cluster1"}, time.Now(), l.luck))
	spy := l.plug(foreign)
	spy.up()
	select {
	case err := <-spy.ended:
		spy.ended <- err
		if err == nil {
			t.Error("W16: Run of a foreign manager = nil")
		}
	case <-spy.Ready():
		t.Error("W16: a foreign manager joined")
	case <-time.After(patience):
		t.Error("W16: a foreign manager is left waiting")
	}
	if s := l.hosts[0].status(); len(s.Peers) != 1 {
		t.Errorf("W16: peers are %+v", s.Peers)
	}
	l.eventually("W16: the handshake is counted", func() bool { return l.hosts[0].Refusals().Handshake > 0 })
	worker := l.identity(l.authority, "w1", ca.Worker)
	if _, err := consensus.New(consensus.Config{
		Addr: "192.168.1.9:2377", Network: spy.ns, Identity: func() *ca.Identity { return worker },
		Storage: consensus.NewStorage(l.luck), Machine: &notes{},
	}); err == nil {
		t.Error("W16: a worker is made a manager")
	}
}

func TestDemote(t *testing.T) {
	l := cluster(t, 3)
	ctx, cancel := context.WithTimeout(l.ctx, 2*patience)
	defer cancel()
	lead := l.leader(l.hosts...)
	if err := lead.Remove(ctx, "nobody"); !errors.Is(err, consensus.ErrUnknownMember) {
		t.Errorf("Remove of nobody = %v", err)
	}
	// A follower demotes the leader, which hands over first.
	follower := l.without(lead)[0]
	follower.mustRemove(ctx, lead.name)
	if err := <-lead.ended; !errors.Is(err, consensus.ErrRemoved) {
		t.Errorf("W9: Run of the one demoted = %v; want %v", err, consensus.ErrRemoved)
	}
	lead.stop = nil
	rest := l.without(lead)
	l.leader(rest...)
	follower.mustPropose("two")
	// It is promoted again, with a new disk.
	lead.disk = consensus.NewStorage(l.luck)
	lead.up(func(c *consensus.Config) { c.Join = follower.addr })
	lead.waitReady()
	lead.has("two")
}

func TestDemoteKeepsQuorum(t *testing.T) {
	l := cluster(t, 3)
	ctx, cancel := context.WithTimeout(l.ctx, 2*patience)
	defer cancel()
	away := l.hosts[2]
	rest := l.without(away)
	away.down() // no other may go now
	l.eventually("the loss is seen", func() bool {
		for _, p := range l.leader(rest...).status().Peers {
			if p.Node == away.name {
				return !p.Reachable
			}
		}
		return false
	})
	l.eventually("W9: no other is removed", func() bool { // a busy machine may know no leader for a moment
		return errors.Is(rest[0].Remove(ctx, rest[1].name), consensus.ErrQuorum)
	})
	l.eventually("W9: the leader may not leave", func() bool { return errors.Is(l.leader(rest...).Leave(ctx), consensus.ErrQuorum) })
	rest[0].mustRemove(ctx, away.name)
	leaving := l.leader(rest...)
	leaving.mustRemove(ctx, leaving.name)
	last := l.without(away, leaving)[0]
	l.leader(last)
	if s := last.status(); s.State != "Leader" || len(s.Peers) != 1 {
		t.Errorf("Status of the one left = %+v", s)
	}
	if err := last.Leave(ctx); !errors.Is(err, consensus.ErrLastManager) {
		t.Errorf("W9: Leave of the last = %v; want %v", err, consensus.ErrLastManager)
	}
}

func TestConfigIsChecked(t *testing.T) {
	l := newLab(t)
	h := l.plug(l.authority)
	if _, err := consensus.New(consensus.Config{}); err == nil {
		t.Error("New of nothing = nil")
	}
	if _, err := consensus.New(consensus.Config{
		Addr: h.addr, Network: h.ns, Identity: func() *ca.Identity { return h.id }, Storage: h.disk, Machine: &notes{},
		HeartbeatTicks: 3, ElectionTicks: 3,
	}); err == nil {
		t.Error("New with elections as short as a heartbeat = nil")
	}
	h.up()
	h.waitReady()
	if _, err := h.Propose(l.ctx, make([]byte, 2<<20)); !errors.Is(err, consensus.ErrTooLarge) {
		t.Errorf("Propose of 2 MB = %v", err)
	}
	if err := h.Node.Run(l.ctx); err == nil {
		t.Error("Run a second time = nil")
	}
}
