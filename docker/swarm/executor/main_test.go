package executor

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/swarmkit/v2/agent/exec"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/docker/swarm/gossip"
	"github.com/netsim-lab/netsim/docker/swarm/quiet"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// rig is hosts with engines and executors on one switch, all of them nodes of a swarm whose manager is the test.
type rig struct {
	testing.TB
	ctx   context.Context
	wg    sync.WaitGroup
	hosts []*host
}

type host struct {
	*Executor
	r    *rig
	eng  *engine.Engine
	addr netip.Addr
	end  func() // ends Run and waits until it has
}

// newRig brings up hosts host-a and so on at 192.168.1.2 and so on, which are on the network ingress at 10.255.0.2 and so on.
func newRig(t testing.TB, n int, modern bool) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(quiet.Context(context.Background(), nil), 2*patience)
	r := &rig{TB: t, ctx: ctx}
	t.Cleanup(func() { cancel(); r.wg.Wait() })
	tor := l2switch.New(l2switch.Config{Name: "tor"})
	for i := range n {
		h := &host{r: r, addr: netip.AddrFrom4([4]byte{192, 168, 1, byte(2 + i)})}
		name := "host-" + string(rune('a'+i))
		ns := netns.New(netns.Config{Name: name})
		inner, outer := fabric.NewVeth(name+"/eth0", "tor/"+name)
		_, err := tor.AddPort(name, outer, l2switch.PortConfig{})
		r.must(err)
		_, err = ns.AddInterface(netns.InterfaceConfig{Name: "eth0", Port: inner, Addr: netip.PrefixFrom(h.addr, 24)})
		r.must(err)
		r.spawn(ns.Run)
		ctl, err := cnm.New(cnm.Config{Name: name, Host: ns, Spawn: r.spawn, Seed: uint64(i), Modern: modern})
		r.must(err)
		h.eng = engine.New(engine.Config{Name: name, Controller: ctl, Host: ns, Spawn: r.spawn, Seed: uint64(i), StopGrace: time.Second,
			Attach: func(ctx context.Context, id string, ep cnm.EndpointConfig) (cnm.EndpointConfig, func(), error) {
				return h.Attach(ctx, id, ep)
			}})
		h.Executor = New(Config{
			Engine: h.eng, NS: ns, Name: name, Addr: h.addr, Managers: func() []netip.Addr { return []netip.Addr{r.hosts[0].addr} },
			Gossip: gossip.Times{Gossip: 20 * time.Millisecond, Probe: 200 * time.Millisecond},
		})
		r.hosts = append(r.hosts, h)
	}
	for i := range r.hosts {
		r.join(i)
	}
	return r
}

// join makes a host a node, as its agent does.
func (r *rig) join(i int) {
	r.Helper()
	h := r.hosts[i]
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	r.spawn(func(context.Context) error {
		defer close(done)
		return h.Run(ctx)
	})
	h.end = func() { cancel(); <-done }
	_, err := h.Describe(r.ctx)
	r.must(err)
	r.must(h.SetNetworkBootstrapKeys(keys(1, 2, 3)))
	r.must(h.Configure(r.ctx, &swarmapi.Node{Attachments: []*swarmapi.NetworkAttachment{
		{Network: network("ingress"), Addresses: []string{netip.AddrFrom4([4]byte{10, 255, 0, byte(2 + i)}).String() + "/16"}},
		{Network: network("overnet"), Addresses: []string{netip.AddrFrom4([4]byte{10, 0, 0, byte(200 + i)}).String() + "/24"}}, // today (S9)
	}}))
}

func (r *rig) spawn(run func(context.Context) error) {
	r.wg.Go(func() {
		if err := run(r.ctx); err != nil {
			r.Error(err)
		}
	})
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// eventually waits until ok.
func (r *rig) eventually(what string, ok func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	r.Fatalf("never: %s", what)
}

func keys(times ...uint64) []*swarmapi.EncryptionKey {
	var all []*swarmapi.EncryptionKey
	for _, at := range times {
		for _, subsystem := range []string{gossipSubsystem, "networking:ipsec"} {
			all = append(all, &swarmapi.EncryptionKey{Subsystem: subsystem, Key: bytes.Repeat([]byte{byte(at)}, 16), LamportTime: at})
		}
	}
	return all
}

// network is the overlay overnet, 10.0.0.0/24, or the network ingress.
func network(name string) *swarmapi.Network {
	subnet, gateway, vni := "10.0.0.0/24", "10.0.0.1", "257"
	if name == "ingress" {
		subnet, gateway, vni = "10.255.0.0/16", "10.255.0.1", "256"
	}
	return &swarmapi.Network{
		ID:          name + "id00000000000000000",
		Spec:        swarmapi.NetworkSpec{Annotations: swarmapi.Annotations{Name: name}, Ingress: name == "ingress", Attachable: true},
		DriverState: &swarmapi.Driver{Name: "overlay", Options: map[string]string{vniOption: vni}},
		IPAM: &swarmapi.IPAMOptions{Driver: &swarmapi.Driver{Name: "default"}, Configs: []*swarmapi.IPAMConfig{
			{Subnet: subnet, Gateway: gateway},
		}},
	}
}

// newTask is a task of the service web, at 10.0.0.(2+slot) on overnet behind 10.0.0.2.
func newTask(slot byte, spec swarmapi.ContainerSpec) *swarmapi.Task {
	return &swarmapi.Task{
		ID: "task" + string(rune('0'+slot)), ServiceID: "service1", Slot: uint64(slot), NodeID: "node1",
		ServiceAnnotations: swarmapi.Annotations{Name: "web"}, DesiredState: swarmapi.TaskStateRunning,
		Spec:   swarmapi.TaskSpec{Runtime: &swarmapi.TaskSpec_Container{Container: &spec}},
		Status: swarmapi.TaskStatus{State: swarmapi.TaskStateAssigned},
		Networks: []*swarmapi.NetworkAttachment{
			{Network: network("overnet"), Addresses: []string{netip.AddrFrom4([4]byte{10, 0, 0, 2 + slot}).String() + "/24"}},
		},
		Endpoint: &swarmapi.Endpoint{VirtualIPs: []*swarmapi.Endpoint_VirtualIP{{NetworkID: network("overnet").ID, Addr: "10.0.0.2/24"}}},
	}
}

// run takes a task as far as it goes before it waits for the end of its container.
func (h *host) run(t *swarmapi.Task) (exec.Controller, error) {
	h.r.Helper()
	c, err := h.Controller(t)
	h.r.must(err)
	for t.Status.State < swarmapi.TaskStateRunning {
		status, err := exec.Do(h.r.ctx, t, c)
		if status == nil || err != nil {
			h.r.Fatalf("Do = %v, %v", status, err)
		}
		if t.Status = *status; status.Err != "" {
			return c, errors.New(status.Err)
		}
	}
	return c, nil
}

func (h *host) mustRun(t *swarmapi.Task) exec.Controller {
	h.r.Helper()
	c, err := h.run(t)
	h.r.must(err)
	return c
}

// container returns the container of a task.
func (h *host) container(name string) *engine.Container {
	h.r.Helper()
	c, err := h.eng.Container(name)
	h.r.must(err)
	return c
}

// sh runs a line in a container and returns what it printed.
func (h *host) sh(container, line string) string {
	h.r.Helper()
	var out bytes.Buffer
	if _, err := h.container(container).Run(h.r.ctx, line, shell.Stdio{Out: &out, Err: &out}); err != nil {
		h.r.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// networks returns the names of the host's networks of the swarm.
func (h *host) overlays() string {
	var names []string
	for _, n := range h.eng.Networks() {
		if n.Scope() == "swarm" {
			names = append(names, n.Name())
		}
	}
	return strings.Join(names, " ")
}
