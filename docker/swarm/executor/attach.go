package executor

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/moby/swarmkit/v2/agent/exec"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
)

const (
	attachTimeout = 20 * time.Second // as in Docker's daemon/cluster/networks.go
	detachTimeout = 10 * time.Second
)

// attachmentWait is where a container that is no task and the task that holds its place on a network meet.
type attachmentWait struct {
	ready    chan struct{} // closed once the place is there
	detached chan struct{} // closed once it is not needed any more
	once     sync.Once     // closes detached
	network  string        // id; set before ready is closed
	ip       netip.Addr    // likewise
}

func (w *attachmentWait) detach() { w.once.Do(func() { close(w.detached) }) }

// attachment returns what belongs to a task, made by who comes first.
func (x *Executor) attachment(task string) *attachmentWait {
	x.mu.Lock()
	defer x.mu.Unlock()
	w := x.attachments[task]
	if w == nil {
		w = &attachmentWait{ready: make(chan struct{}), detached: make(chan struct{})}
		x.attachments[task] = w
	}
	return w
}

func (x *Executor) forgetAttachment(task string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.attachments, task)
}

// Attach has the swarm give a container of this host that is no task a place on one of its networks: the endpoint's settings
// with the network's id and the address, and what gives the place back. release is nil if the swarm has no such network. It is
// engine.Config's Attach.
func (x *Executor) Attach(ctx context.Context, container string, ep cnm.EndpointConfig) (given cnm.EndpointConfig, release func(), err error) {
	var r Resource
	if x.cfg.Resource != nil {
		r = x.cfg.Resource()
	}
	if r == nil {
		return ep, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	request := &swarmapi.AttachNetworkRequest{Config: &swarmapi.NetworkAttachmentConfig{Target: ep.Network}, ContainerID: container}
	if ep.IP.IsValid() {
		request.Config.Addresses = []string{ep.IP.String()}
	}
	response, err := r.AttachNetwork(ctx, request)
	switch {
	case status.Code(err) == codes.NotFound:
		return ep, nil, nil
	case err != nil:
		return ep, nil, engine.Errorf(engine.ErrForbidden, "Could not attach to network %s: %s", ep.Network, err) // O13
	}
	w := x.attachment(response.AttachmentID)
	release = func() {
		w.detach()
		select {
		case x.undone <- response.AttachmentID:
		default:
			x.log.Warn("swarm network was not left", "node", x.cfg.Name, "attachment", response.AttachmentID)
		}
	}
	select {
	case <-w.ready:
		ep.Network, ep.IP = w.network, w.ip
		return ep, release, nil
	case <-ctx.Done():
		release()
		return ep, nil, fmt.Errorf("attaching to network failed, make sure your network options are correct and check manager logs: %w", ctx.Err())
	}
}

// detach tells a manager of places that are not needed any more.
func (x *Executor) detach(ctx context.Context) {
	for {
		select {
		case id := <-x.undone:
			if r := x.cfg.Resource(); r != nil {
				call, cancel := context.WithTimeout(ctx, detachTimeout)
				_, err := r.DetachNetwork(call, &swarmapi.DetachNetworkRequest{AttachmentID: id})
				cancel()
				if err != nil && ctx.Err() == nil {
					x.log.Debug("swarm network was not left", "node", x.cfg.Name, "attachment", id, "error", err)
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// attachment is the task that holds the place of a container on a network. It implements exec.Controller.
type attachment struct {
	x    *Executor
	task *swarmapi.Task
	wait *attachmentWait

	mu      sync.Mutex
	entered bool // guarded by mu
}

func (x *Executor) newAttachment(t *swarmapi.Task) (exec.Controller, error) {
	if len(t.Networks) != 1 {
		return nil, fmt.Errorf("attachment %s is to %d networks; want one", t.ID, len(t.Networks))
	}
	return &attachment{x: x, task: t, wait: x.attachment(t.ID)}, nil
}

// Update implements exec.Controller.
func (a *attachment) Update(context.Context, *swarmapi.Task) error { return nil }

// Prepare implements exec.Controller: it makes the network.
func (a *attachment) Prepare(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.entered {
		return exec.ErrTaskPrepared
	}
	if err := a.x.networks.enter(ctx, a.task.Networks[0].Network); err != nil {
		return err
	}
	a.entered = true
	return nil
}

// Start implements exec.Controller: it tells the container of its address.
func (a *attachment) Start(context.Context) error {
	select {
	case <-a.wait.ready:
		return exec.ErrTaskStarted
	default:
	}
	n := a.task.Networks[0]
	ip, err := addressOf(n)
	if err != nil {
		return err
	}
	a.wait.network, a.wait.ip = n.Network.ID, ip
	close(a.wait.ready)
	return nil
}

// Wait implements exec.Controller: it returns when the container has left the network.
func (a *attachment) Wait(ctx context.Context) error {
	select {
	case <-a.wait.detached:
		a.exit()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exit lets go of the network.
func (a *attachment) exit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.entered {
		return
	}
	a.entered = false
	n := a.task.Networks[0].Network
	if err := a.x.networks.exit(n); err != nil {
		a.x.log.Debug("network not removed", "node", a.x.cfg.Name, "network", n.Spec.Annotations.Name, "error", err)
	}
}

// Shutdown implements exec.Controller. The container is not the swarm's: it goes on, and keeps its place.
func (a *attachment) Shutdown(context.Context) error { return nil }

// Terminate implements exec.Controller.
func (a *attachment) Terminate(context.Context) error { return nil }

// Remove implements exec.Controller.
func (a *attachment) Remove(context.Context) error {
	a.x.forgetAttachment(a.task.ID)
	a.exit()
	return nil
}

// Close implements exec.Controller.
func (a *attachment) Close() error { return nil }
