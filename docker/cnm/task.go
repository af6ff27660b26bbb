package cnm

import "context"

// task is something that runs until it is stopped or the lab ends.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs a function in the lab's group. Its error is logged: it does not end the lab.
func (c *Controller) start(what string, run func(ctx context.Context) error) *task {
	own, cancel := context.WithCancel(context.Background())
	t := &task{cancel: cancel, done: make(chan struct{})}
	c.cfg.Spawn(func(ctx context.Context) error {
		defer close(t.done)
		defer cancel()
		unlink := context.AfterFunc(ctx, cancel)
		defer unlink()
		if err := run(own); err != nil {
			c.log.Warn("ended with an error", "host", c.cfg.Name, "what", what, "err", err)
		}
		return nil
	})
	return t
}

// stop ends the task and waits until it has ended.
func (t *task) stop() {
	t.cancel()
	<-t.done
}
