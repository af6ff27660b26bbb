package consensus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"go.etcd.io/etcd/raft/v3"
	pb "go.etcd.io/etcd/raft/v3/raftpb"
)

// Storage is a member's disk: its raft id, vote, log and last snapshot. The host keeps it while the manager's process
// is away. A member that was removed joins again with a new one.
type Storage struct {
	id    uint64
	seq   atomic.Uint64 // of proposals, so that no two of this member's are the same
	inUse atomic.Bool
	log   *raft.MemoryStorage // replaced only by the Run that uses it
}

// NewStorage returns an empty disk, with an id drawn for the member that will have it.
func NewStorage(luck *rand.Rand) *Storage {
	return &Storage{id: luck.Uint64N(1<<63-1) + 1, log: raft.NewMemoryStorage()}
}

// RaftID is the id of the member.
func (s *Storage) RaftID() uint64 { return s.id }

// errInUse says that two Nodes were given one disk.
var errInUse = errors.New("the storage is used by another manager that runs")

// begun tells whether the disk holds a cluster: each begins with a snapshot, and who joins is sent one first.
func (s *Storage) begun() bool {
	snap, err := s.log.Snapshot()
	return err == nil && snap.Metadata.Index > 0
}

// touched tells whether the disk holds anything: a member that votes before it has its first snapshot has a term.
func (s *Storage) touched() bool {
	hard, _, err := s.log.InitialState()
	return err != nil || !raft.IsEmptyHardState(hard)
}

// begin makes an empty disk, or one that is to forget the others, that of a cluster of one: a snapshot at an index, and
// nothing after it.
func (s *Storage) begin(index, term uint64, e envelope) error {
	data, err := e.encode()
	if err != nil {
		return err
	}
	log := raft.NewMemoryStorage()
	err = log.ApplySnapshot(pb.Snapshot{Data: data, Metadata: pb.SnapshotMetadata{
		Index: index, Term: term, ConfState: pb.ConfState{Voters: []uint64{s.id}},
	}})
	if err != nil {
		return fmt.Errorf("begin a cluster: %w", err)
	}
	if err := log.SetHardState(pb.HardState{Term: term, Commit: index}); err != nil {
		return fmt.Errorf("begin a cluster: %w", err)
	}
	s.log = log
	return nil
}

// committed returns what the disk holds as agreed after its snapshot.
func (s *Storage) committed() ([]pb.Entry, pb.HardState, error) {
	hard, _, err := s.log.InitialState()
	if err != nil {
		return nil, pb.HardState{}, err
	}
	first, err := s.log.FirstIndex()
	if err != nil {
		return nil, pb.HardState{}, err
	}
	snap, err := s.log.Snapshot()
	if err != nil {
		return nil, pb.HardState{}, err
	}
	first = max(first, snap.Metadata.Index+1)
	if hard.Commit < first {
		return nil, hard, nil
	}
	entries, err := s.log.Entries(first, hard.Commit+1, 1<<62)
	return entries, hard, err
}
