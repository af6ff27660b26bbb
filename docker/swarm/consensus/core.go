package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/raft/v3"
	pb "go.etcd.io/etcd/raft/v3/raftpb"
	"golang.org/x/sync/errgroup"
)

// inboxBatch is how many calls are taken before what they led to is sent.
const inboxBatch = 64

// core is what the goroutine of Run owns.
type core struct {
	n     *Node
	ctx   context.Context
	group *errgroup.Group
	raw   *raft.RawNode

	members  map[uint64]Member
	removed  map[uint64]bool
	peers    map[uint64]*peer
	conf     pb.ConfState
	applied  uint64
	snapshot uint64 // index of the last one
	alone    int    // ticks without a leader
	leading  bool
	lead     *Lead  // nil: it does not lead, or has not applied all that was agreed before
	reign    uint64 // the term of what was applied last
	gone     bool   // this member was removed

	proposals map[ticket]proposal
	reads     []read // who waits for an index to be applied here
}

// proposal is who waits for something to be agreed on.
type proposal struct {
	done   chan<- outcome
	commit func() // called in place of the machine's Apply; nil: that is called
}

// outcome is what became of a proposal.
type outcome struct {
	index  uint64
	result []byte
	err    error
}

type read struct {
	index uint64
	done  chan<- struct{}
}

// newCore brings the member up to what its storage holds; one whose storage is empty begins or joins a cluster.
func (n *Node) newCore(ctx context.Context, g *errgroup.Group) (*core, error) {
	c := &core{
		n: n, ctx: ctx, group: g,
		members: make(map[uint64]Member), removed: make(map[uint64]bool), peers: make(map[uint64]*peer),
		proposals: make(map[ticket]proposal),
	}
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	cfg := &raft.Config{
		ID: n.self.RaftID, ElectionTick: n.cfg.ElectionTicks, HeartbeatTick: n.cfg.HeartbeatTicks,
		Storage: source{n.cfg.Storage.log, c}, Applied: c.applied,
		MaxSizePerMsg: maxEntries, MaxInflightMsgs: maxInflight, MaxUncommittedEntriesSize: 64 << 20,
		CheckQuorum: true, DisableProposalForwarding: true, Logger: raftLog{n.cfg.Log},
	}
	var err error
	if c.raw, err = raft.NewRawNode(cfg); err != nil {
		return nil, err
	}
	c.meetMembers()
	if len(c.conf.Voters) == 1 && c.conf.Voters[0] == n.self.RaftID {
		err = c.raw.Campaign() // nobody else can
	}
	return c, err
}

func (c *core) prepare(ctx context.Context) error {
	s := c.n.cfg.Storage
	switch {
	case !s.begun() && c.n.cfg.Join != "":
		c.conf = pb.ConfState{}
		if err := c.n.cfg.Machine.Restore(nil); err != nil {
			return err
		}
		members, err := c.n.join(ctx)
		for _, m := range members {
			c.members[m.RaftID] = m
		}
		return err
	case s.touched() && !s.begun():
		return errors.New("the storage is that of a manager that has not finished joining: say where to join")
	case !s.begun():
		if err := c.n.cfg.Machine.Restore(nil); err != nil {
			return err
		}
		state, err := c.n.cfg.Machine.Snapshot()
		if err != nil {
			return err
		}
		if err := s.begin(1, 1, envelope{Members: []Member{c.n.self}, State: state}); err != nil {
			return err
		}
	}
	snap, err := s.log.Snapshot()
	if err != nil {
		return err
	}
	if err := c.restore(snap); err != nil {
		return err
	}
	if c.n.cfg.ForceNewCluster {
		return c.forceNew()
	}
	return nil
}

// forceNew applies all that is known to be agreed, and makes of it the snapshot that a cluster of one begins with.
func (c *core) forceNew() error {
	s := c.n.cfg.Storage
	entries, hard, err := s.committed()
	if err != nil {
		return fmt.Errorf("force a new cluster: %w", err)
	}
	for _, e := range entries {
		if err := c.apply(e); err != nil {
			return fmt.Errorf("force a new cluster: %w", err)
		}
	}
	for id := range c.members {
		if id != c.n.self.RaftID {
			c.removed[id] = true
		}
	}
	c.gone = false
	delete(c.removed, c.n.self.RaftID)
	c.members = map[uint64]Member{c.n.self.RaftID: c.n.self}
	e, err := c.envelope()
	if err != nil {
		return fmt.Errorf("force a new cluster: %w", err)
	}
	c.applied++
	c.snapshot = c.applied
	c.conf = pb.ConfState{Voters: []uint64{c.n.self.RaftID}}
	return s.begin(c.applied, hard.Term+1, e)
}

// run takes part until ctx ends or this member is removed. A message that breaks what raft relies on ends it, too: that
// is a panic of the library.
func (c *core) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("raft: %v", p)
		}
	}()
	ticker := time.NewTicker(c.n.cfg.Tick)
	defer ticker.Stop()
	defer c.leave()
	for {
		if err := c.settle(); err != nil {
			return err
		}
		if c.gone {
			return ErrRemoved
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.tick()
		case f := <-c.n.inbox:
			f(c)
			c.more()
		}
	}
}

// more carries out what else waits, within bounds, so that it is sent together.
func (c *core) more() {
	for range inboxBatch {
		select {
		case f := <-c.n.inbox:
			f(c)
		default:
			return
		}
	}
}

// leave tells those who wait.
func (c *core) leave() {
	c.abdicate(ErrStopped)
	c.n.publish(Leader{}, nil, c.seen(), true)
}

// abdicate ends this member's lead, and tells those who wait for what they have proposed.
func (c *core) abdicate(err error) {
	c.leading = false
	if c.lead != nil {
		close(c.lead.lost)
		c.lead = nil
	}
	c.fail(err)
}

func (c *core) fail(err error) {
	for t, p := range c.proposals {
		p.done <- outcome{err: err}
		delete(c.proposals, t)
	}
}

func (c *core) tick() {
	c.raw.Tick()
	if c.raw.BasicStatus().Lead == raft.None {
		c.alone++
	} else {
		c.alone = 0
	}
}

// settle does what raft wants done, until there is no more.
func (c *core) settle() error {
	for c.raw.HasReady() {
		rd := c.raw.Ready()
		if c.leading && rd.SoftState != nil && rd.RaftState != raft.StateLeader {
			c.abdicate(ErrLostLeadership) // before anything of others is applied: see Commit
		}
		if err := c.store(rd); err != nil {
			return err
		}
		c.send(rd.Messages)
		for _, e := range rd.CommittedEntries {
			if err := c.apply(e); err != nil {
				return err
			}
		}
		c.raw.Advance(rd)
		c.compact()
	}
	c.watch()
	return nil
}

// store writes what must be on the disk before anything is said about it.
func (c *core) store(rd raft.Ready) error {
	log := c.n.cfg.Storage.log
	if !raft.IsEmptySnap(rd.Snapshot) {
		if err := log.ApplySnapshot(rd.Snapshot); err != nil {
			return fmt.Errorf("store a snapshot: %w", err)
		}
		if err := c.restore(rd.Snapshot); err != nil {
			return err
		}
		c.meetMembers()
	}
	if err := log.Append(rd.Entries); err != nil {
		return fmt.Errorf("store entries: %w", err)
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		return log.SetHardState(rd.HardState)
	}
	return nil
}

// watch tells of a change of leader, and those who proposed to one that is none any more.
func (c *core) watch() {
	s := c.raw.BasicStatus()
	leading := s.RaftState == raft.StateLeader
	if c.leading && !leading {
		c.abdicate(ErrLostLeadership)
	}
	if leading && !c.leading {
		c.n.cfg.Log.Info("leader", "node", c.n.self.Node, "term", s.Term)
	}
	c.leading = leading
	if leading && c.lead == nil && c.reign == s.Term {
		c.lead = &Lead{Term: s.Term, lost: make(chan struct{})}
	}
	var l Leader
	if m, ok := c.known(s.Lead); ok {
		l = Leader{Member: m, Term: s.Term}
	}
	c.n.publish(l, c.lead, c.seen(), s.Lead == raft.None && c.alone > lostQuorumTicks)
}

// known returns a member, or one who wrote and may become one.
func (c *core) known(id uint64) (Member, bool) {
	if m, ok := c.members[id]; ok {
		return m, true
	}
	if id == c.n.self.RaftID {
		return c.n.self, true
	}
	if p, ok := c.peers[id]; ok {
		return p.Member, true
	}
	return Member{}, false
}

func (c *core) sortedMembers() []Member {
	out := make([]Member, 0, len(c.members))
	for _, m := range c.members {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Member) int {
		if a.RaftID < b.RaftID {
			return -1
		}
		return 1
	})
	return out
}
