package node

import (
	"context"
	"errors"
	"sync"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/agent"
)

// errNoManagers says that a node knows of no manager; it cannot happen to one that has joined.
var errNoManagers = errors.New("no manager of the swarm is known")

// dispatcher is how the agent talks to the managers: each session is with one of them, this node's own if it is one.
type dispatcher struct {
	*membership
	mu   sync.Mutex
	addr string // of the session's manager, guarded by mu
}

var _ agent.Dispatcher = (*dispatcher)(nil)

func (d *dispatcher) current() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.addr
}

// Session implements agent.Dispatcher.
func (d *dispatcher) Session(ctx context.Context, r *swarmapi.SessionRequest) (agent.SessionStream, error) {
	addr := d.pickManager()
	if addr == "" {
		return nil, errNoManagers
	}
	d.mu.Lock()
	d.addr = addr
	d.mu.Unlock()
	s, err := d.client.Session(ctx, addr, r)
	if err != nil {
		d.remotes.observe(addr, err)
		return nil, err
	}
	d.sessions.Add(1)
	return session{s, d, addr}, nil
}

// session notes how the manager of a session does.
type session struct {
	agent.SessionStream
	d    *dispatcher
	addr string
}

// Recv implements agent.SessionStream.
func (s session) Recv() (*swarmapi.SessionMessage, error) {
	m, err := s.SessionStream.Recv()
	s.d.remotes.observe(s.addr, err)
	return m, err
}

// Assignments implements agent.Dispatcher.
func (d *dispatcher) Assignments(ctx context.Context, r *swarmapi.AssignmentsRequest) (agent.AssignmentStream, error) {
	return d.client.Assignments(ctx, d.current(), r)
}

// Heartbeat implements agent.Dispatcher.
func (d *dispatcher) Heartbeat(ctx context.Context, r *swarmapi.HeartbeatRequest) (*swarmapi.HeartbeatResponse, error) {
	answer, err := d.client.Heartbeat(ctx, d.current(), r)
	d.remotes.observe(d.current(), err)
	return answer, err
}

// UpdateTaskStatus implements agent.Dispatcher.
func (d *dispatcher) UpdateTaskStatus(ctx context.Context, r *swarmapi.UpdateTaskStatusRequest) (*swarmapi.UpdateTaskStatusResponse, error) {
	return d.client.UpdateTaskStatus(ctx, d.current(), r)
}
