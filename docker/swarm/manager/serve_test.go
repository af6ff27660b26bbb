package manager

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/moby/swarmkit/v2/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

func FuzzForwarded(f *testing.F) {
	good, err := forwarded{methodControl, caller{Subject: ca.Subject{Node: "n", Cluster: "c"}, Remote: "r"}}.encode([]byte("body"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0, 0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		head, body, err := decodeForwarded(b)
		if err != nil {
			return
		}
		again, err := head.encode(body)
		if err != nil {
			t.Fatal(err)
		}
		head2, body2, err := decodeForwarded(again)
		if err != nil || head2 != head || !bytes.Equal(body, body2) {
			t.Errorf("%+v is read as %+v, %v", head, head2, err)
		}
	})
}

func TestRevive(t *testing.T) {
	for _, row := range []struct {
		in   error
		code codes.Code
		text string
	}{
		{rpc.RemoteError(status.Error(codes.NotFound, "node x not found").Error()), codes.NotFound, "rpc error: code = NotFound desc = node x not found"},
		{rpc.RemoteError("rpc error: code = Strange desc = x"), codes.Unknown, "rpc error: code = Strange desc = x"},
		{rpc.RemoteError("rpc error: code = NotFound"), codes.Unknown, "rpc error: code = NotFound"},
		{rpc.RemoteError("no"), codes.Unknown, "no"},
		{errShort, codes.Unknown, errShort.Error()},
	} {
		if got := revive(row.in); got.Error() != row.text || status.Code(got) != row.code {
			t.Errorf("revive(%q) = %v, %v; want %v", row.in, status.Code(got), got, row.code)
		}
	}
}

// A worker may not do what is a manager's, directly or by way of one; nor may a node that was removed do anything.
func TestAuthorization(t *testing.T) {
	l := newLab(t)
	m := l.first()
	m2 := l.manager(m)
	w := l.join(m2, ca.Worker)
	by := caller{Subject: ca.Subject{Node: w.id.Node, Role: ca.Worker, Cluster: w.id.Cluster}}
	for _, at := range []*host{m, m2} {
		if _, err := w.client.UnlockKey(l.within(patience), at.addr); status.Code(err) != codes.PermissionDenied {
			t.Errorf("W16: a worker's UnlockKey at %s = %v", at.name, err)
		}
		if _, err := at.perform(l.within(patience), by, methodControl, nil); status.Code(err) != codes.PermissionDenied {
			t.Errorf("W16: a worker's request by way of %s = %v", at.name, err)
		}
		if _, err := at.perform(l.within(patience), at.self(), "nothing", nil); status.Code(err) != codes.Unimplemented {
			t.Errorf("an unknown method at %s = %v", at.name, err)
		}
		if _, err := at.Call(l.within(patience), "Nothing", nil); status.Code(err) != codes.Unimplemented {
			t.Errorf("an unknown method of the API at %s = %v", at.name, err)
		}
		if _, err := at.Call(l.within(patience), "GetNode", []byte("x")); status.Code(err) != codes.InvalidArgument {
			t.Errorf("a malformed request at %s = %v", at.name, err)
		}
	}
	if _, err := m2.Control().GetNode(l.within(patience), &api.GetNodeRequest{NodeID: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("GetNode by way of a follower = %v; its code is lost", err)
	}
	if _, err := m2.Control().RemoveNode(l.within(patience), &api.RemoveNodeRequest{NodeID: w.id.Node, Force: true}); err != nil {
		t.Fatal(err)
	}
	s, err := w.client.Session(l.within(patience), m2.addr, &api.SessionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := "rpc error: code = PermissionDenied desc = Permission denied: node " + w.id.Node + " was removed from swarm"
	if _, err := s.Recv(); err == nil || err.Error() != want {
		t.Errorf("W16: the session of a node that was removed = %v; want %s", err, want)
	}
	if got := m.Refusals().Removed + m2.Refusals().Removed; got != 1 {
		t.Errorf("W16: %d refusals of removed nodes; want 1", got)
	}
	if _, _, err := unhead([]byte{0, 0}); !errors.Is(err, errShort) {
		t.Errorf("unhead of two bytes = %v", err)
	}
}

// What is tied to a session ends with it; one that goes on by another stream is not ended by the first.
func TestSessionsEnd(t *testing.T) {
	var s sessions
	var ended []string
	tie := func(name string) bool { return s.tie("id", func() { ended = append(ended, name) }) }
	if tie("none") {
		t.Error("something was tied to no session")
	}
	first := s.open("id")
	tie("a")
	second := s.open("id")
	if !tie("b") {
		t.Error("the session does not go on")
	}
	s.drop("id", first)
	if !tie("c") {
		t.Error("the end of the first stream ended the session")
	}
	s.drop("id", nil) // a stream that never got as far as a session
	s.drop("id", second)
	if got := strings.Join(ended, ""); got != "abc" || tie("late") {
		t.Errorf("ended %q; want abc, and nothing can be tied any more", got)
	}
	s.open("id")
	tie("d")
	if s.end(); strings.Join(ended, "") != "abcd" || tie("late") {
		t.Errorf("ended %q; want abcd", ended)
	}
}
