package manager

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/moby/swarmkit/v2/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

var streams = map[string]stream{
	methodSession:       {run: (*office).session, roles: anyNode},
	methodAssignments:   {run: (*office).assignments, roles: anyNode},
	methodListenLogs:    {run: (*office).listenLogs, roles: anyNode},
	methodSubscribeLogs: {run: (*office).subscribeLogs, roles: managerOnly},
}

// outgoing is a stream of gRPC as swarmkit's dispatcher writes to one.
type outgoing[M message] struct {
	ctx  context.Context
	send func([]byte) error
}

// Send implements the servers' streams.
func (s outgoing[M]) Send(m M) error {
	b, err := m.Marshal()
	if err != nil {
		return err
	}
	return s.send(b)
}

// Context implements grpc.ServerStream.
func (s outgoing[M]) Context() context.Context { return s.ctx }

// SetHeader implements grpc.ServerStream: there are none.
func (outgoing[M]) SetHeader(metadata.MD) error { return nil }

// SendHeader implements grpc.ServerStream.
func (outgoing[M]) SendHeader(metadata.MD) error { return nil }

// SetTrailer implements grpc.ServerStream.
func (outgoing[M]) SetTrailer(metadata.MD) {}

var errOneWay = errors.New("the stream goes one way, with messages of one type")

// SendMsg implements grpc.ServerStream.
func (outgoing[M]) SendMsg(any) error { return errOneWay }

// RecvMsg implements grpc.ServerStream.
func (outgoing[M]) RecvMsg(any) error { return errOneWay }

func (o *office) session(ctx context.Context, b []byte, send func([]byte) error) error {
	var r api.SessionRequest
	if err := r.Unmarshal(b); err != nil {
		return malformed(err)
	}
	var id string
	var mine *tied
	defer func() { o.sessions.drop(id, mine) }()
	return o.dispatcher.Session(&r, first[*api.SessionMessage]{outgoing[*api.SessionMessage]{ctx, send}, func(m *api.SessionMessage) {
		if id == "" {
			id = m.SessionID
			mine = o.sessions.open(id)
		}
	}})
}

// first is an outgoing that shows each message before it is sent.
type first[M message] struct {
	outgoing[M]
	show func(M)
}

// Send implements the servers' streams.
func (s first[M]) Send(m M) error {
	s.show(m)
	return s.outgoing.Send(m)
}

func (o *office) assignments(ctx context.Context, b []byte, send func([]byte) error) error {
	var r api.AssignmentsRequest
	if err := r.Unmarshal(b); err != nil {
		return malformed(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !o.sessions.tie(r.SessionID, cancel) {
		return status.Error(codes.InvalidArgument, "session invalid")
	}
	return o.dispatcher.Assignments(&r, outgoing[*api.AssignmentsMessage]{ctx, send})
}

// sessions ends the other streams of a session when that ends: swarmkit leaves those to connections that break.
type sessions struct {
	mu    sync.Mutex
	ties  map[string]*tied // by session, guarded by mu
	ended bool             // guarded by mu
}

// tied is what ends with the first stream of a session.
type tied struct{ ends []context.CancelFunc }

// end ends it. The caller holds the lock of the sessions.
func (t *tied) end() {
	for _, f := range t.ends {
		f()
	}
	t.ends = nil
}

// open notes a session. An agent may go on with one by another stream, before the end of the first has been seen: what is
// tied to that ends.
func (s *sessions) open(id string) *tied {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ties == nil {
		s.ties = make(map[string]*tied)
	}
	if old := s.ties[id]; old != nil {
		old.end()
	}
	s.ties[id] = &tied{}
	return s.ties[id]
}

// tie has a function called when a session ends; false: it is not there.
func (s *sessions) tie(id string, f context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.ties[id]
	if t == nil || s.ended {
		return false
	}
	t.ends = append(t.ends, f)
	return true
}

// drop ends what is tied to the first stream of a session; the session may have gone on by another.
func (s *sessions) drop(id string, mine *tied) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine == nil {
		return
	}
	mine.end()
	if s.ties[id] == mine {
		delete(s.ties, id)
	}
}

// end ends all sessions' streams but their first.
func (s *sessions) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for _, t := range s.ties {
		t.end()
	}
}

// streamHere answers a stream of whoever may ask for it.
func (m *Manager) streamHere(ctx context.Context, o *office, by caller, method string, body []byte, send func([]byte) error) error {
	s, ok := streams[method]
	if !ok {
		return status.Errorf(codes.Unimplemented, "unknown method %q", method)
	}
	if err := m.authorize(o, by, s.roles); err != nil {
		return err
	}
	return s.run(o, by.known(ctx), body, send)
}

// follow has a stream answered, here or by the leader.
func (m *Manager) follow(ctx context.Context, by caller, method string, body []byte, send func([]byte) error) error {
	short, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	o, leader, err := m.where(short)
	if err != nil {
		return err
	}
	if o != nil {
		return m.streamHere(ctx, o, by, method, body, send)
	}
	b, err := forwarded{method, by}.encode(body)
	if err != nil {
		return err
	}
	f, err := m.raft.Stream(ctx, leader.Addr, methodForwardStream, b)
	if err != nil {
		return err
	}
	defer f.Close()
	return pipe(f, send)
}

// pipe hands on what comes.
func pipe(f *rpc.Flow, send func([]byte) error) error {
	for {
		b, err := f.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(b); err != nil {
			return err
		}
	}
}
