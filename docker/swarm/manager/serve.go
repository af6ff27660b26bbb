package manager

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/moby/swarmkit/v2/api"
	swarmca "github.com/moby/swarmkit/v2/ca"
	"github.com/moby/swarmkit/v2/manager/state/store"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// The methods of a manager's port, beside raft's.
const (
	methodRoot        = "ca.root"
	methodIssue       = "ca.issue"
	methodCertificate = "ca.certificate"
	methodUnlockKey   = "ca.unlock-key"
	methodControl     = "control"
	methodHeartbeat   = "dispatcher.heartbeat"
	methodStatus      = "dispatcher.status"
	methodSession     = "dispatcher.session"
	methodAssignments = "dispatcher.assignments"
	methodAttach      = "resource.attach"
	methodDetach      = "resource.detach"

	methodForward       = "forward"        // any of the above, by another manager
	methodForwardStream = "forward-stream" // likewise
)

// requestTime is how long a request may take here, waiting for a leader included: dockerd's swarmRequestTimeout.
const requestTime = 20 * time.Second

// certificateTime is how long a node waits for its certificate before it asks again.
const certificateTime = 5 * time.Second

// caller is who a request comes from, as far as its certificate tells; a Stranger has none.
type caller struct {
	ca.Subject
	Remote   string
	Stranger bool
}

// known returns a context from which swarmkit's servers learn who calls.
func (c caller) known(ctx context.Context) context.Context {
	if c.Stranger {
		return ctx
	}
	return context.WithValue(ctx, swarmca.LocalRequestKey, swarmca.RemoteNodeInfo{
		Roles: []string{c.Role.String()}, Organization: c.Cluster, NodeID: c.Node, RemoteAddr: c.Remote,
	})
}

// unary is a method that is answered once.
type unary struct {
	run   func(ctx context.Context, o *office, b []byte) ([]byte, error)
	roles []ca.Role // nil: strangers, too
}

// stream is a method that is answered again and again.
type stream struct {
	run   func(o *office, ctx context.Context, b []byte, send func([]byte) error) error
	roles []ca.Role
}

var (
	anyNode     = []ca.Role{ca.Worker, ca.Manager}
	managerOnly = []ca.Role{ca.Manager}
)

var unaries = map[string]unary{
	methodRoot:  {run: on((*office).authority, authority.GetRootCACertificate)},
	methodIssue: {run: on((*office).authority, authority.IssueNodeCertificate)},
	methodCertificate: {run: func(ctx context.Context, o *office, b []byte) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, certificateTime)
		defer cancel()
		return on((*office).authority, authority.NodeCertificateStatus)(ctx, o, b)
	}},
	methodUnlockKey: {run: on((*office).authority, authority.GetUnlockKey), roles: managerOnly},
	methodControl: {roles: managerOnly, run: func(ctx context.Context, o *office, b []byte) ([]byte, error) {
		name, request, err := unhead(b)
		f := controlMethods[name]
		if err != nil || f == nil {
			return nil, status.Errorf(codes.Unimplemented, "unknown method %q", name)
		}
		return f(ctx, o.control, request)
	}},
	methodHeartbeat:   {run: on((*office).dispatch, api.DispatcherServer.Heartbeat), roles: anyNode},
	methodStatus:      {run: on((*office).dispatch, api.DispatcherServer.UpdateTaskStatus), roles: anyNode},
	methodAttach:      {run: on((*office).resources, api.ResourceAllocatorServer.AttachNetwork), roles: anyNode},
	methodPublishLogs: {run: publishLogs, roles: anyNode},
	methodDetach:      {run: on((*office).resources, api.ResourceAllocatorServer.DetachNetwork), roles: anyNode},
}

// methods puts them all on the port.
func (m *Manager) methods(srv *rpc.Server) {
	for name, u := range unaries {
		srv.Handle(name, func(ctx context.Context, r rpc.Request) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, requestTime)
			defer cancel()
			return m.perform(ctx, callerOf(r), name, r.Body)
		}, u.roles...)
	}
	for name, s := range streams {
		srv.HandleStream(name, func(ctx context.Context, r rpc.Request, send func([]byte) error) error {
			return m.follow(ctx, callerOf(r), name, r.Body, send)
		}, s.roles...)
	}
	srv.Handle(methodForward, func(ctx context.Context, r rpc.Request) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		f, body, err := decodeForwarded(r.Body)
		if err != nil {
			return nil, err
		}
		o, _ := m.current()
		if o == nil {
			return nil, errNotLeading
		}
		return m.here(ctx, o, f.Caller, f.Method, body)
	}, managerOnly...)
	srv.HandleStream(methodForwardStream, func(ctx context.Context, r rpc.Request, send func([]byte) error) error {
		f, body, err := decodeForwarded(r.Body)
		if err != nil {
			return err
		}
		o, _ := m.current()
		if o == nil {
			return errNotLeading
		}
		return m.streamHere(ctx, o, f.Caller, f.Method, body, send)
	}, managerOnly...)
}

func callerOf(r rpc.Request) caller {
	c := caller{Subject: r.Peer, Stranger: r.Stranger}
	if r.Remote != nil {
		c.Remote = r.Remote.String()
	}
	return c
}

// forwarded is the head of a request that another manager hands on.
type forwarded struct {
	Method string
	Caller caller
}

func (f forwarded) encode(body []byte) ([]byte, error) {
	head, err := json.Marshal(f)
	return append(headed(string(head), nil), body...), err
}

func decodeForwarded(b []byte) (f forwarded, body []byte, err error) {
	head, body, err := unhead(b)
	if err == nil {
		err = json.Unmarshal([]byte(head), &f)
	}
	if err != nil {
		return f, nil, malformed(err)
	}
	return f, body, nil
}

// headed puts a text with its length in front of bytes.
func headed(head string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(head)+len(body)), uint32(len(head)))
	return append(append(b, head...), body...)
}

var errShort = errors.New("it is shorter than it says")

func unhead(b []byte) (head string, body []byte, err error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return "", nil, errShort
	}
	n := binary.BigEndian.Uint32(b)
	return string(b[4 : 4+n]), b[4+n:], nil
}

// where tells who answers requests now: this manager (an office), or another. It waits for a leader, and for this manager
// to be ready if it is that. The error is consensus.ErrNoLeader, or that of ctx.
func (m *Manager) where(ctx context.Context) (*office, consensus.Leader, error) {
	for {
		o, changed := m.current()
		if o != nil {
			return o, consensus.Leader{}, nil
		}
		leader, err := m.raft.AwaitLeader(ctx)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				err = consensus.ErrNoLeader
			}
			return nil, leader, err
		}
		if leader.RaftID != m.raft.Self().RaftID {
			return nil, leader, nil
		}
		_, other := m.raft.Leader()
		select {
		case <-changed:
		case <-other:
		case <-ctx.Done():
			return nil, leader, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// perform has a request answered, here or by the leader.
func (m *Manager) perform(ctx context.Context, by caller, method string, body []byte) ([]byte, error) {
	for {
		o, leader, err := m.where(ctx)
		if err != nil {
			return nil, err
		}
		if o != nil {
			return m.here(ctx, o, by, method, body)
		}
		b, err := forwarded{method, by}.encode(body)
		if err != nil {
			return nil, err
		}
		answer, err := m.raft.Call(ctx, leader.Addr, methodForward, b)
		if err == nil {
			return answer, nil
		}
		if !errors.Is(err, errNotLeading) && !errors.Is(err, rpc.ErrNotSent) || !m.pause(ctx) {
			return nil, revive(err)
		}
	}
}

// pause waits until there may be another leader, and tells whether there is time left.
func (m *Manager) pause(ctx context.Context) bool {
	_, changed := m.raft.Leader()
	t := time.NewTimer(orDefault(m.cfg.Tick, consensus.DefaultTick))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// here answers a request of whoever may make it.
func (m *Manager) here(ctx context.Context, o *office, by caller, method string, body []byte) ([]byte, error) {
	u, ok := unaries[method]
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "unknown method %q", method)
	}
	if err := m.authorize(o, by, u.roles); err != nil {
		return nil, err
	}
	answer, err := u.run(by.known(ctx), o, body)
	if method == methodIssue && by.Stranger && status.Code(err) == codes.InvalidArgument {
		err = m.refuse(&m.tokens, by, err)
	}
	if err != nil && ctx.Err() != nil {
		err = status.FromContextError(ctx.Err()).Err()
	}
	return answer, err
}

// authorize refuses who has none of the roles, and whose node was removed (W16).
func (m *Manager) authorize(o *office, by caller, roles []ca.Role) error {
	if !by.Stranger {
		var removed bool
		o.store.View(func(tx store.ReadTx) {
			if c := store.GetCluster(tx, o.cluster); c != nil {
				_, removed = c.BlacklistedCertificates[by.Node]
			}
		})
		if removed {
			return m.refuse(&m.removed, by, status.Errorf(codes.PermissionDenied, "Permission denied: node %s was removed from swarm", by.Node))
		}
	}
	if roles != nil && (by.Stranger || by.Cluster != o.cluster || !slices.Contains(roles, by.Role)) {
		return m.refuse(&m.denied, by, status.Errorf(codes.PermissionDenied, "Permission denied: unauthorized forwarded role, expecting: %v", roles))
	}
	return nil
}

// refuse counts a refusal and logs it; it returns why.
func (m *Manager) refuse(count *atomic.Uint64, by caller, why error) error {
	count.Add(1)
	m.cfg.Log.Info("a node was refused", "node", m.cfg.Identity().Node, "peer", by.Remote, "err", why)
	return why
}
