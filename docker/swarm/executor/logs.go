package executor

import (
	"context"
	"errors"
	"slices"

	gogotypes "github.com/gogo/protobuf/types"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/engine"
)

// The labels of tasks' containers by which logs find them.
const (
	labelNode    = "com.docker.swarm.node.id"
	labelService = "com.docker.swarm.service.id"
	labelTask    = "com.docker.swarm.task.id"
)

// Logs hands out what tasks of this host wrote that a subscription asks for: what there is, and with Follow what comes, of
// later tasks, too, until ctx ends. An error of publish ends it. publish is called from several goroutines.
func (x *Executor) Logs(ctx context.Context, m *swarmapi.SubscriptionMessage, publish func([]swarmapi.LogMessage) error) error {
	opts := logOptions(m.Options)
	var started *engine.Subscription
	if opts.Follow {
		started = x.cfg.Engine.Subscribe(engine.EventOptions{Filter: func(e engine.Event) bool {
			return e.Type == "container" && e.Action == "start" && selected(m.Selector, e.Attributes)
		}})
		defer started.Close()
	}
	g, ctx := errgroup.WithContext(ctx)
	read := make(map[string]bool)
	follow := func(c *engine.Container) {
		if labels := c.Config().Labels; selected(m.Selector, labels) && !read[c.ID()] {
			read[c.ID()] = true
			g.Go(func() error { return copyLogs(ctx, c, labels, opts, publish) })
		}
	}
	for _, c := range x.cfg.Engine.Containers() {
		follow(c)
	}
	for started != nil {
		e, err := started.Next(ctx)
		if err != nil {
			break // ctx has ended, or the reader is far too slow
		}
		if c, err := x.cfg.Engine.Container(e.ID); err == nil {
			follow(c)
		}
	}
	return g.Wait()
}

// selected tells whether a subscription means the task with these labels.
func selected(s *swarmapi.LogSelector, labels map[string]string) bool {
	return labels[labelTask] != "" &&
		(slices.Contains(s.TaskIDs, labels[labelTask]) || slices.Contains(s.ServiceIDs, labels[labelService]))
}

func logOptions(o *swarmapi.LogSubscriptionOptions) engine.LogOptions {
	opts := engine.LogOptions{Tail: -1}
	if o == nil {
		opts.Stdout, opts.Stderr = true, true
		return opts
	}
	opts.Follow = o.Follow
	opts.Stdout = len(o.Streams) == 0 || slices.Contains(o.Streams, swarmapi.LogStreamStdout)
	opts.Stderr = len(o.Streams) == 0 || slices.Contains(o.Streams, swarmapi.LogStreamStderr)
	if o.Tail < 0 {
		opts.Tail = int(-o.Tail - 1) // -1 is none
	}
	if at, err := gogotypes.TimestampFromProto(o.Since); o.Since != nil && err == nil {
		opts.Since = at
	}
	return opts
}

// logBatch is how many lines are sent at once, of those that are there.
const logBatch = 256

// copyLogs publishes the lines of one task.
func copyLogs(ctx context.Context, c *engine.Container, labels map[string]string, opts engine.LogOptions, publish func([]swarmapi.LogMessage) error) error {
	of := swarmapi.LogContext{ServiceID: labels[labelService], NodeID: labels[labelNode], TaskID: labels[labelTask]}
	var batch []swarmapi.LogMessage
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		lines := batch
		batch = nil
		return publish(lines)
	}
	err := c.ReadLogs(ctx, opts, func(e engine.LogEntry) error {
		at, err := gogotypes.TimestampProto(e.At)
		if err != nil {
			return err
		}
		line := swarmapi.LogMessage{Context: of, Timestamp: at, Stream: swarmapi.LogStreamStdout, Data: slices.Clone(e.Text)}
		if e.Stderr {
			line.Stream = swarmapi.LogStreamStderr
		}
		if batch = append(batch, line); opts.Follow || len(batch) == logBatch {
			return flush()
		}
		return nil
	})
	return errors.Join(err, flush())
}
