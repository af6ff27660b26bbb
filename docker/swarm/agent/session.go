package agent

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
	"golang.org/x/sync/errgroup"
)

// errNewDescription ends a session so that the next one tells of what the node has become.
var errNewDescription = errors.New("the node's description has changed")

// hold has one session until something of it fails. registered: it began.
func (a *Agent) hold(ctx context.Context) (registered bool, err error) {
	description, err := a.describe(ctx)
	if err != nil {
		return false, fmt.Errorf("describe the node: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, first, err := a.open(ctx, cancel, description)
	if err != nil {
		return false, fmt.Errorf("begin a session: %w", err)
	}
	defer stream.Close()
	a.session = first.SessionID
	a.take(ctx, first)
	a.first.Do(func() { close(a.ready) })
	a.tasks.reportAll()
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, cancel)() // the first failure ends the stream as well
	g.Go(func() error { return a.beat(ctx) })
	g.Go(func() error { return a.listen(ctx, stream) })
	g.Go(func() error { return a.watch(ctx) })
	g.Go(func() error { return a.report(ctx) })
	g.Go(func() error { return a.look(ctx, description) })
	return true, g.Wait()
}

// open begins a session and waits for its first message, but not for long: then cancel is called.
func (a *Agent) open(ctx context.Context, cancel func(), d *swarmapi.NodeDescription) (SessionStream, *swarmapi.SessionMessage, error) {
	timer := time.AfterFunc(callTimeout, cancel)
	stream, err := a.cfg.Dispatcher.Session(ctx, &swarmapi.SessionRequest{Description: d, SessionID: a.session})
	if err != nil {
		timer.Stop()
		return nil, nil, err
	}
	m, err := stream.Recv()
	if !timer.Stop() && err == nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		stream.Close()
		return nil, nil, err
	}
	return stream, m, nil
}

// beat tells the manager that the node is alive, as often as it wants to hear it.
func (a *Agent) beat(ctx context.Context) error {
	for {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		r, err := a.cfg.Dispatcher.Heartbeat(call, &swarmapi.HeartbeatRequest{SessionID: a.session})
		cancel()
		if err != nil {
			return fmt.Errorf("heartbeat: %w", err)
		}
		if !sleep(ctx, max(r.Period, time.Millisecond)) {
			return ctx.Err()
		}
	}
}

// listen takes up the messages of the session.
func (a *Agent) listen(ctx context.Context, stream SessionStream) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("session: %w", err)
		}
		a.take(ctx, m)
	}
}

// watch takes up assignments. If one does not follow the one before, it asks for all of them anew.
func (a *Agent) watch(ctx context.Context) error {
	for {
		if err := a.watchOnce(ctx); err != nil {
			return fmt.Errorf("assignments: %w", err)
		}
	}
}

// watchOnce takes up the assignments of one stream; it returns nil where one is missing. If the first, which are all of them, are late,
// the session ends: its node would be ready, and do nothing.
func (a *Agent) watchOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(callTimeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	stream, err := a.cfg.Dispatcher.Assignments(ctx, &swarmapi.AssignmentsRequest{SessionID: a.session})
	if err == nil {
		err = a.follow(prompt{stream, timer})
		stream.Close()
	}
	if err != nil && context.Cause(ctx) == context.DeadlineExceeded {
		return fmt.Errorf("none within %v: %w", callTimeout, err)
	}
	return err
}

// prompt is a stream with a timer that its first message stops.
type prompt struct {
	AssignmentStream
	timer *time.Timer
}

// Recv implements AssignmentStream.
func (p prompt) Recv() (*swarmapi.AssignmentsMessage, error) {
	m, err := p.AssignmentStream.Recv()
	p.timer.Stop()
	return m, err
}

// follow takes up the assignments of one stream; it returns nil where one is missing.
func (a *Agent) follow(stream AssignmentStream) error {
	reference := ""
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if reference != "" && m.AppliesTo != reference {
			return nil
		}
		reference = m.ResultsIn
		a.tasks.assign(m.Changes, m.Type == swarmapi.AssignmentsMessage_COMPLETE)
	}
}

// report tells the manager of the states of tasks.
func (a *Agent) report(ctx context.Context) error {
	for {
		updates, err := a.tasks.reports.take(ctx, reportsAtOnce)
		if err != nil {
			return err
		}
		call, cancel := context.WithTimeout(ctx, callTimeout)
		_, err = a.cfg.Dispatcher.UpdateTaskStatus(call, &swarmapi.UpdateTaskStatusRequest{SessionID: a.session, Updates: updates})
		cancel()
		if err != nil { // the next session reports all
			return fmt.Errorf("report the states of %d tasks: %w", len(updates), err)
		}
	}
}

// look ends the session once the node is not what it was when it registered.
func (a *Agent) look(ctx context.Context, was *swarmapi.NodeDescription) error {
	for sleep(ctx, a.cfg.Describe) {
		now, err := a.describe(ctx)
		if err == nil && !reflect.DeepEqual(now, was) {
			return errNewDescription
		}
	}
	return ctx.Err()
}
