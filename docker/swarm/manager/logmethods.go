package manager

import (
	"context"
	"errors"
	"io"

	"github.com/moby/swarmkit/v2/api"
	swarmca "github.com/moby/swarmkit/v2/ca"
)

// The methods of logs.
const (
	methodListenLogs    = "logs.listen"
	methodPublishLogs   = "logs.publish"
	methodSubscribeLogs = "logs.subscribe"
)

// sender makes a stream's messages of bytes.
func sender[M message](send func([]byte) error) func(M) error {
	return func(m M) error {
		b, err := m.Marshal()
		if err != nil {
			return err
		}
		return send(b)
	}
}

func (o *office) listenLogs(ctx context.Context, _ []byte, send func([]byte) error) error {
	node, err := swarmca.RemoteNode(ctx)
	if err != nil {
		return err
	}
	return o.logs.listen(ctx, node.NodeID, sender[*api.SubscriptionMessage](send))
}

func (o *office) subscribeLogs(ctx context.Context, b []byte, send func([]byte) error) error {
	var r api.SubscribeLogsRequest
	if err := r.Unmarshal(b); err != nil {
		return malformed(err)
	}
	return o.logs.subscribe(ctx, &r, sender[*api.SubscribeLogsMessage](send))
}

func publishLogs(ctx context.Context, o *office, b []byte) ([]byte, error) {
	var m api.PublishLogsMessage
	if err := m.Unmarshal(b); err != nil {
		return nil, malformed(err)
	}
	node, err := swarmca.RemoteNode(ctx)
	if err != nil {
		return nil, err
	}
	return nil, o.logs.publish(ctx, node.NodeID, &m)
}

// SubscribeLogs hands out what tasks wrote until all of it is there, or, if the request follows, until ctx ends.
func (m *Manager) SubscribeLogs(ctx context.Context, r *api.SubscribeLogsRequest, each func(*api.SubscribeLogsMessage) error) error {
	b, err := r.Marshal()
	if err != nil {
		return err
	}
	return m.follow(ctx, m.self(), methodSubscribeLogs, b, func(b []byte) error {
		var v api.SubscribeLogsMessage
		if err := v.Unmarshal(b); err != nil {
			return err
		}
		return each(&v)
	})
}

// ListenLogs hands out what is asked for of this node's logs until ctx or the stream ends.
func (c Client) ListenLogs(ctx context.Context, addr string, each func(*api.SubscriptionMessage)) error {
	s, err := open[api.SubscriptionMessage](ctx, c, addr, methodListenLogs, &api.ListenSubscriptionsRequest{})
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		each(m)
	}
}

// PublishLogs sends what tasks of this node wrote, for a subscription.
func (c Client) PublishLogs(ctx context.Context, addr string, m *api.PublishLogsMessage) error {
	b, err := m.Marshal()
	if err != nil {
		return err
	}
	_, err = c.at(addr)(ctx, methodPublishLogs, b)
	return err
}
