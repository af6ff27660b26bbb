package node

import (
	"context"
	"errors"
	"sync"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// LogReader is an Executor that can tell what tasks wrote.
type LogReader interface {
	// Logs hands out what a subscription asks for, until that is all, or ctx ends, or publish fails.
	Logs(ctx context.Context, m *swarmapi.SubscriptionMessage, publish func([]swarmapi.LogMessage) error) error
}

// logsPause is how long a node waits before it listens for subscriptions again.
const logsPause = time.Second

// Logs hands out what tasks wrote until all of it is there, or, if the request follows, until ctx ends. Only managers can
// ask for it.
func (n *Node) Logs(ctx context.Context, r *swarmapi.SubscribeLogsRequest, each func(*swarmapi.SubscribeLogsMessage) error) error {
	_, man, err := n.active()
	if err != nil {
		return err
	}
	return man.SubscribeLogs(ctx, r, each)
}

// logs serves the subscriptions of those who read what this node's tasks wrote, until ctx ends.
func (m *membership) logs(ctx context.Context) {
	reader, ok := m.cfg.Executor.(LogReader)
	if !ok {
		return
	}
	waitFor(ctx, m.ready)
	for ctx.Err() == nil {
		if addr := m.pickManager(); addr != "" {
			m.serveLogs(ctx, addr, reader) // it ends with the manager, and begins again with another one
		}
		pause := time.NewTimer(logsPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// serveLogs serves the subscriptions that come by one manager.
func (m *membership) serveLogs(ctx context.Context, addr string, reader LogReader) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var mu sync.Mutex
	under := map[string]context.CancelFunc{} // way, by subscription; guarded by mu
	_ = m.client.ListenLogs(ctx, addr, func(s *swarmapi.SubscriptionMessage) {
		mu.Lock()
		defer mu.Unlock()
		stop, ok := under[s.ID]
		switch {
		case ok && s.Close:
			stop()
		case ok, s.Close:
		default:
			reading, stop := context.WithCancel(ctx)
			under[s.ID] = stop
			wg.Go(func() {
				m.publishLogs(reading, addr, s, reader)
				mu.Lock()
				defer mu.Unlock()
				delete(under, s.ID)
				stop()
			})
		}
	})
}

// publishLogs sends what one subscription asks for.
func (m *membership) publishLogs(ctx context.Context, addr string, s *swarmapi.SubscriptionMessage, reader LogReader) {
	err := reader.Logs(ctx, s, func(lines []swarmapi.LogMessage) error {
		return m.client.PublishLogs(ctx, addr, &swarmapi.PublishLogsMessage{SubscriptionID: s.ID, Messages: lines})
	})
	if err != nil && ctx.Err() == nil && status.Code(err) != codes.NotFound && !errors.Is(err, context.Canceled) {
		m.log.Warn("logs of tasks were not sent", "node", m.cfg.Name, "err", err)
	}
	if ctx.Err() == nil {
		_ = m.client.PublishLogs(ctx, addr, &swarmapi.PublishLogsMessage{SubscriptionID: s.ID, Close: true}) // nobody may be left
	}
}
