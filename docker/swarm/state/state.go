package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/moby/swarmkit/v2/api"
	swarmstate "github.com/moby/swarmkit/v2/manager/state"
	"github.com/moby/swarmkit/v2/manager/state/store"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// Committer is what a State is replicated by: a consensus.Node.
type Committer interface {
	Commit(ctx context.Context, command []byte, commit func()) error
	Applied() uint64
}

// errUnbound says that a change was made before the State was bound.
var errUnbound = errors.New("the state is not replicated yet")

// State is one manager's copy. It is the Machine of its consensus.Node, and the Proposer of its store.
type State struct {
	store *store.MemoryStore
	by    atomic.Pointer[Committer]
	log   *slog.Logger
}

var (
	_ consensus.Machine   = (*State)(nil)
	_ swarmstate.Proposer = (*State)(nil)
)

// New returns an empty copy. Bind it before anything is changed, and Close it at the end. log may be nil.
func New(log *slog.Logger) *State {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &State{log: log}
	s.store = store.NewMemoryStore(s)
	return s
}

// Bind says what the state is replicated by.
func (s *State) Bind(by Committer) { s.by.Store(&by) }

// Store is the store. Only a leader's can be changed; a change blocks until it is agreed on, and fails with
// consensus.ErrLostLeadership.
func (s *State) Store() *store.MemoryStore { return s.store }

// Close ends the watches of the store.
func (s *State) Close() error { return s.store.Close() }

// ProposeValue implements swarmkit's Proposer: it has the members agree on the actions, and calls commit if they do.
func (s *State) ProposeValue(ctx context.Context, actions []api.StoreAction, commit func()) error {
	by := s.by.Load()
	if by == nil {
		return errUnbound
	}
	command, err := (&api.InternalRaftRequest{Action: actions}).Marshal()
	if err != nil {
		return fmt.Errorf("propose a change: %w", err)
	}
	return (*by).Commit(ctx, command, commit)
}

// GetVersion implements swarmkit's Proposer: the index of the last change here, which objects get as their version (W39).
func (s *State) GetVersion() *api.Version {
	if by := s.by.Load(); by != nil {
		return &api.Version{Index: (*by).Applied()}
	}
	return &api.Version{}
}

// ChangesBetween implements swarmkit's Proposer. The past is not kept: it fails, as in swarmkit after a snapshot.
func (s *State) ChangesBetween(from, to api.Version) ([]swarmstate.Change, error) {
	return nil, fmt.Errorf("changes from %d to %d are not available", from.Index, to.Index)
}

// Apply implements consensus.Machine: it makes a change that another member has proposed.
func (s *State) Apply(index uint64, command []byte) []byte {
	var r api.InternalRaftRequest
	err := r.Unmarshal(command)
	if err == nil {
		err = sound(func() { r.Copy() })
	}
	if err == nil {
		err = s.store.ApplyStoreActions(r.Action)
	}
	if err != nil {
		s.log.Error("a change of the swarm was not made", "index", index, "err", err)
	}
	return nil
}

// Snapshot implements consensus.Machine.
func (s *State) Snapshot() ([]byte, error) {
	var all *api.StoreSnapshot
	var err error
	s.store.View(func(tx store.ReadTx) { all, err = s.store.Save(tx) })
	if err != nil {
		return nil, err
	}
	return all.Marshal()
}

// Restore implements consensus.Machine.
func (s *State) Restore(snapshot []byte) error {
	var all api.StoreSnapshot
	if err := all.Unmarshal(snapshot); err != nil {
		return err
	}
	if err := sound(func() { all.Copy() }); err != nil {
		return err
	}
	return s.store.Restore(&all)
}

// sound tells whether a message can be copied, as the store does with its objects while it is locked. Messages whose maps
// have keys without values can be read, but swarmkit's copying panics at them.
func sound(duplicate func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed message: %v", p)
		}
	}()
	duplicate()
	return nil
}
