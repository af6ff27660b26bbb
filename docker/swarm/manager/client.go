package manager

import (
	"context"

	"github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// Client asks managers, by their addresses, for what nodes need of them: the dispatcher, certificates, attachments. Errors
// of the managers are gRPC status errors where swarmkit's servers gave them.
type Client struct {
	RPC *rpc.Client // must be set
}

// at is a Call of one manager.
func (c Client) at(addr string) Call {
	return func(ctx context.Context, method string, request []byte) ([]byte, error) {
		answer, err := c.RPC.Call(ctx, addr, method, request)
		return answer, revive(err)
	}
}

// Heartbeat says that the node is there.
func (c Client) Heartbeat(ctx context.Context, addr string, r *api.HeartbeatRequest) (*api.HeartbeatResponse, error) {
	return invoke[api.HeartbeatResponse](ctx, c.at(addr), methodHeartbeat, r)
}

// UpdateTaskStatus reports how tasks are.
func (c Client) UpdateTaskStatus(ctx context.Context, addr string, r *api.UpdateTaskStatusRequest) (*api.UpdateTaskStatusResponse, error) {
	return invoke[api.UpdateTaskStatusResponse](ctx, c.at(addr), methodStatus, r)
}

// AttachNetwork asks for a place on a network for a container that is no task.
func (c Client) AttachNetwork(ctx context.Context, addr string, r *api.AttachNetworkRequest) (*api.AttachNetworkResponse, error) {
	return invoke[api.AttachNetworkResponse](ctx, c.at(addr), methodAttach, r)
}

// DetachNetwork gives it back.
func (c Client) DetachNetwork(ctx context.Context, addr string, r *api.DetachNetworkRequest) (*api.DetachNetworkResponse, error) {
	return invoke[api.DetachNetworkResponse](ctx, c.at(addr), methodDetach, r)
}

// Root asks for the certificate of the swarm's root.
func (c Client) Root(ctx context.Context, addr string) ([]byte, error) {
	answer, err := invoke[api.GetRootCACertificateResponse](ctx, c.at(addr), methodRoot, &api.GetRootCACertificateRequest{})
	if err != nil {
		return nil, err
	}
	return answer.Certificate, nil
}

// Issue asks for a certificate, by a token or by the one that there is.
func (c Client) Issue(ctx context.Context, addr string, r *api.IssueNodeCertificateRequest) (*api.IssueNodeCertificateResponse, error) {
	return invoke[api.IssueNodeCertificateResponse](ctx, c.at(addr), methodIssue, r)
}

// Certificate waits for what Issue asked for. It gives up after some seconds; ask again by then.
func (c Client) Certificate(ctx context.Context, addr, node string) (*api.NodeCertificateStatusResponse, error) {
	return invoke[api.NodeCertificateStatusResponse](ctx, c.at(addr), methodCertificate, &api.NodeCertificateStatusRequest{NodeID: node})
}

// UnlockKey asks for the key that managers are locked with.
func (c Client) UnlockKey(ctx context.Context, addr string) (*api.GetUnlockKeyResponse, error) {
	return invoke[api.GetUnlockKeyResponse](ctx, c.at(addr), methodUnlockKey, &api.GetUnlockKeyRequest{})
}

// Session begins a session with the dispatcher.
func (c Client) Session(ctx context.Context, addr string, r *api.SessionRequest) (*Messages[api.SessionMessage, *api.SessionMessage], error) {
	return open[api.SessionMessage](ctx, c, addr, methodSession, r)
}

// Assignments asks for what the node is to do.
func (c Client) Assignments(ctx context.Context, addr string, r *api.AssignmentsRequest) (*Messages[api.AssignmentsMessage, *api.AssignmentsMessage], error) {
	return open[api.AssignmentsMessage](ctx, c, addr, methodAssignments, r)
}

// Messages is a stream of one type of messages.
type Messages[T any, M interface {
	*T
	message
}] struct{ flow *rpc.Flow }

func open[T any, M interface {
	*T
	message
}](ctx context.Context, c Client, addr, method string, request message) (*Messages[T, M], error) {
	b, err := request.Marshal()
	if err != nil {
		return nil, err
	}
	f, err := c.RPC.Stream(ctx, addr, method, b)
	if err != nil {
		return nil, err
	}
	return &Messages[T, M]{f}, nil
}

// Recv waits for the next message; the errors are those of rpc.Flow, or status errors.
func (s *Messages[T, M]) Recv() (M, error) {
	b, err := s.flow.Recv()
	if err != nil {
		return nil, revive(err)
	}
	m := M(new(T))
	if err := m.Unmarshal(b); err != nil {
		return nil, err
	}
	return m, nil
}

// Close ends the stream.
func (s *Messages[T, M]) Close() { s.flow.Close() }
