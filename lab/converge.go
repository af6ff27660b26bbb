package lab

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/swarm/directory"
)

// convergeLimit is how long a lab waits for its services before it is up without them: a topology may ask for what
// cannot be placed.
const convergeLimit = 10 * time.Second

// WaitConverged waits until every service of the swarm has all its tasks running, and every host has heard of every endpoint on
// the networks that it takes part in. The error of a wait that ctx ended says what is missing.
func (l *Lab) WaitConverged(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	var missing []string
	for {
		began := time.Now()
		now, err := l.unfinished(ctx)
		if err == nil && len(now) == 0 {
			return nil
		}
		if err == nil || missing == nil && ctx.Err() == nil {
			missing = now
			if err != nil {
				missing = []string{err.Error()}
			}
		}
		pause.Reset(pauseAfter(time.Since(began)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for services to converge: %s: %w", strings.Join(missing, "; "), ctx.Err())
		}
	}
}

// awaitHeard waits until every host has heard of every endpoint, for some time.
func (l *Lab) awaitHeard(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, convergeLimit)
	defer cancel()
	heard := newLook(func() bool { return len(l.unheard()) == 0 })
	tick := time.NewTicker(lookPause)
	defer tick.Stop()
	for !heard.now() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// unfinished tells what is not as it is to be.
func (l *Lab) unfinished(ctx context.Context) ([]string, error) {
	control, err := l.control()
	if err != nil {
		return nil, err
	}
	services, err := control.ListServices(ctx, &swarmapi.ListServicesRequest{})
	if err != nil {
		return nil, err
	}
	tasks, err := control.ListTasks(ctx, &swarmapi.ListTasksRequest{})
	if err != nil {
		return nil, err
	}
	nodes, err := control.ListNodes(ctx, &swarmapi.ListNodesRequest{})
	if err != nil {
		return nil, err
	}
	var missing []string
	running := make(map[string]int)
	for _, t := range tasks.Tasks {
		switch {
		case t.DesiredState == swarmapi.TaskStateRunning && t.Status.State == swarmapi.TaskStateRunning:
			running[t.ServiceID]++
		case t.DesiredState <= swarmapi.TaskStateRunning && t.Status.State <= swarmapi.TaskStateRunning:
			missing = append(missing, unfinishedTask(t))
		}
	}
	for _, s := range services.Services {
		if want, have := replicas(s, nodes.Nodes), running[s.ID]; have < want && len(missing) == 0 {
			missing = append(missing, fmt.Sprintf("%s has %d of %d tasks", s.Spec.Annotations.Name, have, want))
		}
	}
	if len(missing) == 0 {
		missing = l.unheard()
	}
	return missing, nil
}

func unfinishedTask(t *swarmapi.Task) string {
	text := fmt.Sprintf("a task of %s is %s", t.ServiceAnnotations.Name, strings.ToLower(t.Status.State.String()))
	if t.Status.Err != "" {
		text += " (" + t.Status.Err + ")"
	}
	return text
}

// replicas returns how many tasks of a service are to run, as far as that can be told from here: those of a global service with
// constraints are as many as there are.
func replicas(s *swarmapi.Service, nodes []*swarmapi.Node) int {
	if r := s.Spec.GetReplicated(); r != nil {
		return int(r.Replicas)
	}
	if s.Spec.GetGlobal() == nil || s.Spec.Task.Placement != nil {
		return 0
	}
	ready := 0
	for _, n := range nodes {
		if n.Status.State == swarmapi.NodeStatus_READY && n.Spec.Availability == swarmapi.NodeAvailabilityActive {
			ready++
		}
	}
	return ready
}

// unheard names a host that has not heard of an endpoint, as its own host has it, on a network that it takes part in; none: nil.
func (l *Lab) unheard() []string {
	endpoints := make(map[string]map[string]bool) // by network and endpoint: whether it is Disabled
	l.overlays(func(_ string, d *directory.Directory, n *cnm.Network) bool {
		own := make(map[string]bool)
		for _, ep := range n.Endpoints() {
			own[ep.ID()] = false
		}
		for _, r := range d.Own(n.ID()) {
			if _, ok := own[r.Key]; ok {
				own[r.Key] = r.Disabled
			}
		}
		if endpoints[n.ID()] == nil {
			endpoints[n.ID()] = own
		}
		maps.Copy(endpoints[n.ID()], own)
		return true
	})
	var missing []string
	l.overlays(func(host string, d *directory.Directory, n *cnm.Network) bool {
		if !d.Knows(n.ID(), endpoints[n.ID()]) || d.Busy() {
			missing = append(missing, fmt.Sprintf("%s has not heard of all endpoints of %s", host, n.Name()))
		}
		return missing == nil
	})
	return missing
}

// overlays calls f for each overlay network on each node of the topology's swarm, as long as it returns true.
func (l *Lab) overlays(f func(host string, d *directory.Directory, n *cnm.Network) bool) {
	for _, ref := range l.swarmMembers() {
		for _, n := range l.engine(ref.Name).Networks() {
			if n.Driver() == cnm.DriverOverlay && !f(ref.Name, l.swarmNode(ref.Name).exec.Directory(), n) {
				return
			}
		}
	}
}
