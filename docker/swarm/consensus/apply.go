package consensus

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/raft/v3"
	pb "go.etcd.io/etcd/raft/v3/raftpb"
)

// source is the storage as raft reads it: a snapshot for a member that is far behind is made when it is asked for, of
// what is applied by then, so that it names that member.
type source struct {
	*raft.MemoryStorage
	c *core
}

// Snapshot implements raft.Storage.
func (s source) Snapshot() (pb.Snapshot, error) {
	if err := s.c.take(); err != nil {
		return pb.Snapshot{}, err
	}
	return s.MemoryStorage.Snapshot()
}

// take makes a snapshot of what is applied.
func (c *core) take() error {
	e, err := c.envelope()
	if err != nil {
		return err
	}
	data, err := e.encode()
	if err != nil {
		return err
	}
	_, err = c.n.cfg.Storage.log.CreateSnapshot(c.applied, &c.conf, data)
	if errors.Is(err, raft.ErrSnapOutOfDate) {
		return nil // that there is
	}
	if err == nil {
		c.snapshot = c.applied
	}
	return err
}

func (c *core) envelope() (envelope, error) {
	state, err := c.n.cfg.Machine.Snapshot()
	if err != nil {
		return envelope{}, fmt.Errorf("snapshot: %w", err)
	}
	e := envelope{Members: c.sortedMembers(), State: state}
	for id := range c.removed {
		e.Removed = append(e.Removed, id)
	}
	slices.Sort(e.Removed)
	return e, nil
}

func (c *core) restore(snap pb.Snapshot) error {
	e, err := decodeEnvelope(snap.Data)
	if err != nil {
		return fmt.Errorf("restore a snapshot: %w", err)
	}
	if err := c.n.cfg.Machine.Restore(e.State); err != nil {
		return fmt.Errorf("restore a snapshot: %w", err)
	}
	clear(c.members)
	for _, m := range e.Members {
		c.members[m.RaftID] = m
	}
	for _, id := range e.Removed {
		c.removed[id] = true
	}
	c.conf = snap.Metadata.ConfState
	c.snapshot = snap.Metadata.Index
	c.reach(c.snapshot)
	return nil
}

// compact makes a snapshot when the log has grown by enough, and cuts the log.
func (c *core) compact() {
	if c.applied < c.snapshot+c.n.cfg.SnapshotEvery {
		return
	}
	if err := c.take(); err != nil {
		c.n.cfg.Log.Error("no snapshot", "node", c.n.self.Node, "err", err)
		return
	}
	if c.applied <= c.n.cfg.KeepEntries {
		return
	}
	if err := c.n.cfg.Storage.log.Compact(c.applied - c.n.cfg.KeepEntries); err != nil && !errors.Is(err, raft.ErrCompacted) {
		c.n.cfg.Log.Error("the log is not compacted", "node", c.n.self.Node, "err", err)
	}
}

// reach notes up to where this member has applied the log.
func (c *core) reach(index uint64) {
	c.applied = index
	c.n.applied.Store(index)
	c.reads = slices.DeleteFunc(c.reads, func(r read) bool {
		if r.index <= index {
			close(r.done)
			return true
		}
		return false
	})
}

// apply carries out one entry that was agreed on.
func (c *core) apply(e pb.Entry) error {
	defer c.reach(e.Index)
	c.reign = e.Term
	switch e.Type {
	case pb.EntryConfChange:
		var cc pb.ConfChange
		if err := cc.Unmarshal(e.Data); err != nil {
			return fmt.Errorf("apply a change of members: %w", err)
		}
		return c.applyChange(e.Index, cc)
	case pb.EntryNormal:
		t, command, ok := splitTicket(e.Data)
		if !ok { // a new leader's first entry is empty
			return nil
		}
		o := outcome{index: e.Index}
		if p := c.proposals[t]; p.commit != nil {
			c.n.applied.Store(e.Index)
			p.commit()
		} else {
			o.result = c.n.cfg.Machine.Apply(e.Index, command)
		}
		c.settled(t, o)
		return nil
	}
	return fmt.Errorf("apply: entry %d is of type %v", e.Index, e.Type)
}

// settled tells the proposer what became of its proposal, if it waits here.
func (c *core) settled(t ticket, o outcome) {
	if p, ok := c.proposals[t]; ok {
		delete(c.proposals, t)
		p.done <- o
	}
}

func (c *core) applyChange(index uint64, cc pb.ConfChange) error {
	var ch change
	if err := json.Unmarshal(cc.Context, &ch); err != nil {
		return fmt.Errorf("apply a change of members: %w", err)
	}
	if c.raw != nil {
		c.conf = *c.raw.ApplyConfChange(cc)
	}
	switch id := cc.NodeID; cc.Type {
	case pb.ConfChangeAddNode:
		c.members[id] = ch.Member
	case pb.ConfChangeRemoveNode:
		delete(c.members, id)
		c.removed[id] = true
		c.gone = c.gone || id == c.n.self.RaftID
	}
	if c.raw != nil {
		c.meetMembers()
	}
	c.settled(ticket{ch.Proposer, cc.ID}, outcome{index: index})
	return nil
}
