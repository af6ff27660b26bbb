package swarm

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// State is how far a task has come. It only moves forward (W22).
type State int

// The states.
const (
	StateNew  State = 0
	Pending   State = 64
	Assigned  State = 192
	Accepted  State = 256
	Preparing State = 320
	Ready     State = 384
	Starting  State = 448
	Running   State = 512
	Complete  State = 576
	Shutdown  State = 640
	Failed    State = 704
	Rejected  State = 768
)

var stateNames = map[State]string{
	StateNew: "New", Pending: "Pending", Assigned: "Assigned", Accepted: "Accepted", Preparing: "Preparing", Ready: "Ready",
	Starting: "Starting", Running: "Running", Complete: "Complete", Shutdown: "Shutdown", Failed: "Failed", Rejected: "Rejected",
}

// String returns the state as `docker service ps` prints it.
func (s State) String() string { return stateNames[s] }

// Attachment is the place of a task, or of another container, on a network.
type Attachment struct {
	Network Network
	IP      netip.Prefix
	Aliases []string
	Service *cnm.ServiceBinding // nil for a container that is no task
}

// Task is one container that a service wants.
type Task struct {
	ID          string
	ServiceID   string
	ServiceName string
	Slot        int // from 1; 0 for a global service
	NodeID      string
	NodeName    string
	State       State
	Desired     State
	Err         string // why it is not, or no longer, running
	Container   ContainerSpec
	Labels      map[string]string // of the container
	Attachments []Attachment
	Ports       []cnm.PortBinding // published on the task's own node
	Created     time.Time
	Updated     time.Time
}

// Name returns the name of the task, which its container has too: service.slot.id, or service.node.id (S17, W23).
func (t *Task) Name() string {
	if t.Slot == 0 {
		return t.ServiceName + "." + t.NodeID + "." + t.ID
	}
	return fmt.Sprintf("%s.%d.%s", t.ServiceName, t.Slot, t.ID)
}

// Endpoints returns the networks that the task's container joins. The ports of the node are with the first.
func (t *Task) Endpoints() []cnm.EndpointConfig {
	var out []cnm.EndpointConfig
	for _, a := range t.Attachments {
		out = append(out, a.Endpoint())
	}
	if len(out) > 0 {
		out[0].Ports = slices.Clone(t.Ports)
	}
	return out
}

// Endpoint returns what a sandbox joins the network with.
func (a Attachment) Endpoint() cnm.EndpointConfig {
	return cnm.EndpointConfig{Network: a.Network.ID, IP: a.IP.Addr(), Aliases: slices.Clone(a.Aliases), Service: a.Service}
}

type task struct {
	Task
	service   *service
	node      *node // nil: not assigned
	notBefore time.Time
	after     *task                       // it starts once this one has ended
	stop      func(context.Context) error // nil: there is no container
	stopping  bool                        // stop is being called
	entered   []string                    // networks that it is counted as a user of, on its node
	freed     bool                        // its addresses are given back
}

// ended tells whether the task will not run any more.
func (t *task) ended() bool { return t.State > Running }

// live tells whether the task takes up its slot.
func (t *task) live() bool { return t.Desired == Running && !t.ended() }

// leftover tells whether there is a container that is to go.
func (t *task) leftover() bool { return t.stop != nil && (t.Desired != Running || t.ended()) }

// shutdown says that the task is to end. One that never got to a node has ended.
func (t *task) shutdown(now time.Time) {
	t.Desired = Shutdown
	if t.State < Starting {
		t.move(Shutdown, "", now)
	}
}

// move takes the task forward.
func (t *task) move(s State, err string, now time.Time) {
	if s < t.State {
		return
	}
	t.State, t.Updated = s, now
	t.Err = err
}

// end takes the task to a state that it does not run in, for good.
func (t *task) end(s State, err string, now time.Time) {
	t.Desired = Shutdown
	t.move(s, err, now)
}

func (t *task) snapshot() Task {
	out := t.Task
	out.Attachments, out.Ports, out.Labels = slices.Clone(out.Attachments), slices.Clone(out.Ports), maps.Clone(out.Labels)
	return out
}

// newTask makes a task and takes its addresses. The caller holds mu.
func (c *Cluster) newTask(s *service, slot int, n *node) *task {
	now := c.cfg.Now()
	t := &task{service: s, node: n}
	t.Task = Task{
		ID: newID(c.luck), ServiceID: s.ID, ServiceName: s.Spec.Name, Slot: slot, State: StateNew, Desired: Running,
		Container: s.Spec.Container, Ports: s.hostPorts(), Created: now, Updated: now,
	}
	if n != nil {
		t.NodeID = n.ID // the name of a global service's task holds it
	}
	c.tasks = append(c.tasks, t)
	c.allocate(t)
	return t
}

// allocate takes the addresses of a task, all or none. Without them it stays new.
func (c *Cluster) allocate(t *task) {
	var all []Attachment
	for _, n := range t.service.networks {
		a, err := n.attach(netip.Addr{})
		if err != nil {
			for _, a := range all {
				c.releaseAddr(a)
			}
			t.Err = err.Error()
			return
		}
		a.Service = t.service.binding(n, t.Name())
		all = append(all, a)
	}
	t.Attachments = all
	t.move(Pending, "", c.cfg.Now())
}

// free gives back the task's addresses (I18).
func (c *Cluster) free(t *task) {
	if t.freed {
		return
	}
	t.freed = true
	for _, a := range t.Attachments {
		c.releaseAddr(a)
	}
}

// Tasks returns the tasks in the order in which they were created, those that ended included.
func (c *Cluster) Tasks() []Task {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Task, 0, len(c.tasks))
	for _, t := range c.tasks {
		all = append(all, t.snapshot())
	}
	return all
}

// ServiceTasks returns the tasks of a service by slot, the newest of each first, as `docker service ps` lists them.
func (c *Cluster) ServiceTasks(ref string) ([]Task, error) {
	c.mu.Lock()
	s, err := c.service(ref)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var out []Task
	for _, t := range slices.Backward(c.Tasks()) {
		if t.ServiceID == s.ID {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b Task) int { return a.Slot - b.Slot })
	return out, nil
}
