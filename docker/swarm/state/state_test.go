package state

import (
	"context"
	"errors"
	"testing"

	"github.com/moby/swarmkit/v2/api"
	swarmstate "github.com/moby/swarmkit/v2/manager/state"
	"github.com/moby/swarmkit/v2/manager/state/store"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errLost = errors.New("lost")

// log is raft in one process: what is committed is kept for the other members.
type log struct {
	entries [][]byte
	err     error
}

// Commit implements Committer.
func (l *log) Commit(_ context.Context, command []byte, commit func()) error {
	if l.err != nil {
		return l.err
	}
	l.entries = append(l.entries, command)
	commit()
	return nil
}

// Applied implements Committer.
func (l *log) Applied() uint64 { return uint64(len(l.entries)) }

func open(t *testing.T) *State {
	t.Helper()
	s := New(nil)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func create(s *State, ids ...string) error {
	return s.Store().Update(func(tx store.Tx) error {
		for _, id := range ids {
			if err := store.CreateNode(tx, &api.Node{ID: id}); err != nil {
				return err
			}
		}
		return nil
	})
}

func nodes(s *State) (ids string) {
	s.Store().View(func(tx store.ReadTx) {
		all, _ := store.FindNodes(tx, store.All)
		for _, n := range all {
			ids += n.ID
		}
	})
	return ids
}

// What the leader changes reaches the others by the log, and by a snapshot.
func TestReplication(t *testing.T) {
	leader, follower, late := open(t), open(t), open(t)
	if err := create(leader, "x"); !errors.Is(err, errUnbound) {
		t.Errorf("a change before the state is bound = %v", err)
	}
	raft := &log{}
	leader.Bind(raft)
	events, cancel := swarmstate.Watch(follower.Store().WatchQueue(), api.EventCreateNode{})
	defer cancel()
	if err := errors.Join(create(leader, "a", "b"), create(leader, "c")); err != nil {
		t.Fatal(err)
	}
	for i, e := range raft.entries {
		follower.Apply(uint64(i+1), e)
	}
	if got := nodes(follower); got != "abc" || len(raft.entries) != 2 {
		t.Errorf("the follower has %s after %d entries; want abc after 2", got, len(raft.entries))
	}
	if e := (<-events).(api.EventCreateNode); e.Node.ID != "a" || e.Node.Meta.Version.Index != 0 {
		t.Errorf("the follower's watcher hears of %+v", e.Node)
	}
	if v := leader.GetVersion(); v.Index != 2 {
		t.Errorf("W39: version %d; want 2", v.Index)
	}
	snapshot, err := leader.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	late.Apply(1, raft.entries[1]) // the snapshot replaces what there is
	if err := late.Restore(snapshot); err != nil || nodes(late) != "abc" {
		t.Errorf("Restore = %v, and %s; want abc", err, nodes(late))
	}
	if err := late.Restore(nil); err != nil || nodes(late) != "" {
		t.Errorf("Restore of nothing = %v, and %s", err, nodes(late))
	}
}

// A change that was not agreed on is not made.
func TestRefusedChange(t *testing.T) {
	s := open(t)
	s.Bind(&log{err: errLost})
	if err := create(s, "a"); !errors.Is(err, errLost) || nodes(s) != "" {
		t.Errorf("Update = %v, and there is %q", err, nodes(s))
	}
	s.Apply(1, []byte("no request"))
	if err := s.Restore([]byte("no snapshot")); err == nil {
		t.Error("Restore of no snapshot = nil")
	}
	if _, err := s.ChangesBetween(api.Version{}, api.Version{Index: 1}); err == nil {
		t.Error("ChangesBetween = nil")
	}
}

func FuzzApply(f *testing.F) {
	good, err := (&api.InternalRaftRequest{Action: []api.StoreAction{{
		Action: api.StoreActionKindCreate, Target: &api.StoreAction_Node{Node: &api.Node{ID: "a"}},
	}}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := New(nil)
		s.Apply(1, b)
		_ = s.Restore(b) // what it does not know it says
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
