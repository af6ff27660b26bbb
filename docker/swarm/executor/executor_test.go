package executor

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"

	gogotypes "github.com/gogo/protobuf/types"
	"github.com/moby/swarmkit/v2/agent/exec"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
)

func TestTask(t *testing.T) {
	r := newRig(t, 1, false)
	h := r.hosts[0]
	if got := h.overlays(); got != "ingress" {
		t.Errorf("O4: before the first task, networks of the swarm: %s", got)
	}
	h.Secrets().Add(swarmapi.Secret{ID: "s1", Spec: swarmapi.SecretSpec{Data: []byte("hush")}}, swarmapi.Secret{ID: "s2"})
	h.Configs().Add(swarmapi.Config{ID: "c1", Spec: swarmapi.ConfigSpec{
		Data: []byte("on {{.Node.Hostname}}"), Templating: &swarmapi.Driver{Name: "golang"},
	}})
	task := newTask(1, swarmapi.ContainerSpec{
		Image: "busybox", Args: []string{"sleep", "100000"}, Hostname: "{{.Node.Hostname}}-{{.Task.Slot}}", Env: []string{"TASK={{.Task.Name}}", "KEPT"},
		Labels: map[string]string{"mine": "1", "com.docker.swarm.task.id": "no"}, Hosts: []string{"192.0.2.7 example"},
		Secrets: []*swarmapi.SecretReference{{SecretID: "s1", SecretName: "s", Target: &swarmapi.SecretReference_File{File: &swarmapi.FileTarget{Name: "pw"}}}},
		Configs: []*swarmapi.ConfigReference{{ConfigID: "c1", ConfigName: "c", Target: &swarmapi.ConfigReference_File{File: &swarmapi.FileTarget{Name: "/etc/app.conf"}}}},
	})
	task.Endpoint.Ports = []*swarmapi.PortConfig{{TargetPort: 80, PublishedPort: 8080, PublishMode: swarmapi.PublishModeHost}}
	controller := h.mustRun(task)
	c := h.container("web.1.task1") // S17
	for _, x := range []struct{ what, got, want string }{
		{"O4: networks", h.overlays(), "ingress overnet"},
		{"host name", c.Hostname(), "host-a-1"},
		{"environment", h.sh("web.1.task1", "echo $TASK"), "web.1.task1"},
		{"secret", h.sh("web.1.task1", "cat /run/secrets/pw"), "hush"},
		{"config", h.sh("web.1.task1", "cat /etc/app.conf"), "on host-a"},
		{"hosts", h.sh("web.1.task1", "grep example /etc/hosts"), "192.0.2.7\texample"},
		{"state", task.Status.State.String(), "RUNNING"},
		{"container id", task.Status.GetContainer().ContainerID, c.ID()},
		{"ports", task.Status.PortStatus.String(), "&PortStatus{Ports:[]*PortConfig{&PortConfig{Name:,Protocol:TCP,TargetPort:80,PublishedPort:8080,PublishMode:HOST,},},}"},
	} {
		if x.got != x.want {
			t.Errorf("%s: %q; want %q", x.what, x.got, x.want)
		}
	}
	for label, want := range map[string]string{
		"mine": "1", "com.docker.swarm.task": "", "com.docker.swarm.task.id": "task1", "com.docker.swarm.task.name": "web.1.task1",
		"com.docker.swarm.node.id": "node1", "com.docker.swarm.service.id": "service1", "com.docker.swarm.service.name": "web",
	} {
		if got, ok := c.Config().Labels[label]; !ok || got != want {
			t.Errorf("label %s = %q, %v; want %q", label, got, ok, want)
		}
	}
	ep, _ := c.Sandbox().Endpoint("overnet")
	if ep == nil || ep.IP() != netip.MustParseAddr("10.0.0.3") || ep.Service().VIP != netip.MustParseAddr("10.0.0.2") {
		t.Errorf("endpoint %+v", ep)
	}
	if err := controller.Prepare(r.ctx); !errors.Is(err, exec.ErrTaskPrepared) {
		t.Errorf("second Prepare = %v", err)
	}
	if err := controller.Start(r.ctx); !errors.Is(err, exec.ErrTaskStarted) {
		t.Errorf("second Start = %v", err)
	}

	r.must(c.Kill(r.ctx, ""))
	err := controller.Wait(r.ctx)
	if err == nil || err.Error() != "task: non-zero exit (137)" { // W31
		t.Errorf("Wait = %v", err)
	}
	if code := err.(exec.ExitCoder).ExitCode(); code != 137 {
		t.Errorf("status %d", code)
	}
	if got := h.overlays(); got != "ingress" {
		t.Errorf("O4: after the last task, networks of the swarm: %s", got)
	}
	if len(h.eng.Containers()) != 1 {
		t.Error("the container of a task that failed is gone")
	}
	r.must(controller.Remove(r.ctx))
	if len(h.eng.Containers()) != 0 {
		t.Error("a container is left")
	}
}

// TestRefused: tasks that cannot run are rejected, with nothing left behind.
func TestRefused(t *testing.T) {
	r := newRig(t, 1, false)
	h := r.hosts[0]
	for _, x := range []struct {
		what, want string
		edit       func(*swarmapi.Task)
	}{
		{"no image", "nosuchimage", func(t *swarmapi.Task) { t.Spec.GetContainer().Image = "nosuchimage" }},
		{"no secret", "secret s: ", func(t *swarmapi.Task) {
			t.Spec.GetContainer().Secrets = []*swarmapi.SecretReference{{SecretID: "s9", SecretName: "s", Target: &swarmapi.SecretReference_File{File: &swarmapi.FileTarget{Name: "pw"}}}}
		}},
		{"a bad template", "expanding hostname failed", func(t *swarmapi.Task) { t.Spec.GetContainer().Hostname = "{{.Nobody}}" }},
		{"no address", "the swarm gave no address on network overnet", func(t *swarmapi.Task) { t.Networks[0].Addresses = nil }},
		{"a network without addresses", "the swarm has given it no addresses yet", func(t *swarmapi.Task) { t.Networks[0].Network.IPAM = nil }},
		{"a network without an id", "VXLAN id", func(t *swarmapi.Task) { t.Networks[0].Network.DriverState.Options = nil }},
		{"a strange driver", "its driver is calico", func(t *swarmapi.Task) { t.Networks[0].Network.DriverState.Name = "calico" }},
		{"a mount of the machine", "refused", func(t *swarmapi.Task) {
			t.Spec.GetContainer().Mounts = []swarmapi.Mount{{Type: swarmapi.MountTypeBind, Source: "/etc", Target: "/etc"}}
		}},
	} {
		task := newTask(1, swarmapi.ContainerSpec{Image: "busybox"})
		x.edit(task)
		if _, err := h.run(task); err == nil || !strings.Contains(err.Error(), x.want) || task.Status.State != swarmapi.TaskStateRejected {
			t.Errorf("%s: %s, %v; want %q", x.what, task.Status.State, err, x.want)
		}
	}
	task := newTask(1, swarmapi.ContainerSpec{Image: "busybox", Command: []string{"nosuchprogram"}})
	if _, err := h.run(task); err == nil || !strings.Contains(err.Error(), "starting container failed") || task.Status.State != swarmapi.TaskStateFailed {
		t.Errorf("no program: %s, %v", task.Status.State, err)
	}
	task = newTask(1, swarmapi.ContainerSpec{Image: "busybox"})
	task.Spec.Runtime = &swarmapi.TaskSpec_Generic{Generic: &swarmapi.GenericRuntimeSpec{Kind: "plugin"}}
	if _, err := h.Controller(task); err == nil {
		t.Error("a plugin was taken for a container")
	}
	if n := len(h.eng.Containers()); n != 1 {
		t.Errorf("%d containers are left; want that which did not start", n)
	}
}

// TestHealth: a task is not running, and in nobody's names, before it is healthy; and ends when it is not any more (S13).
func TestHealth(t *testing.T) {
	r := newRig(t, 1, false)
	h := r.hosts[0]
	looker := newTask(2, swarmapi.ContainerSpec{Image: "busybox", Args: []string{"sleep", "100000"}})
	looker.ServiceAnnotations.Name, looker.ServiceID, looker.Endpoint = "looker", "service2", nil
	h.mustRun(looker)
	task := newTask(1, swarmapi.ContainerSpec{Image: "busybox", Args: []string{"sleep", "100000"}, Healthcheck: &swarmapi.HealthConfig{
		Test: []string{"CMD-SHELL", "test -f /ok"}, Interval: gogotypes.DurationProto(patience), Retries: 1,
	}})
	running := make(chan exec.Controller)
	r.spawn(func(context.Context) error {
		defer close(running)
		c, err := h.run(task)
		if err == nil {
			running <- c
		}
		return err
	})
	var c *engine.Container
	r.eventually("the container runs", func() bool {
		c, _ = h.eng.Container("web.1.task1")
		return c != nil && c.State() == engine.Running && len(c.Health().Log) > 1
	})
	known := func() bool { return strings.Contains(h.sh("looker.2.task2", "nslookup web 2>&1"), "10.0.0.2") }
	if known() {
		t.Error("D9: the name of a service that is not healthy is known")
	}
	select {
	case <-running:
		t.Fatal("it counts as running before it is healthy")
	default:
	}
	h.sh("web.1.task1", "touch /ok")
	controller := <-running
	if controller == nil {
		t.Fatal("it never ran")
	}
	r.eventually("the service has a name", known)
	r.must(controller.Shutdown(r.ctx))
	if known() {
		t.Error("D9: the name of a service without tasks is known")
	}

	task = newTask(3, swarmapi.ContainerSpec{Image: "busybox", Args: []string{"sleep", "100000"}, Healthcheck: &swarmapi.HealthConfig{
		Test: []string{"CMD-SHELL", "test ! -f /ill"}, Interval: gogotypes.DurationProto(20_000_000), Retries: 2,
	}})
	controller = h.mustRun(task)
	h.sh("web.3.task3", "touch /ill")
	err := controller.Wait(r.ctx)
	if !errors.Is(err, errUnhealthy) || err.Error() != "task: non-zero exit (137): unhealthy container" {
		t.Errorf("Wait = %v", err)
	}
}

// TestTwoHosts: nodes tell each other of tasks, and of their end; a node that leaves the swarm keeps nothing of it (W7).
func TestTwoHosts(t *testing.T) {
	r := newRig(t, 2, false)
	a, b := r.hosts[0], r.hosts[1]
	spec := swarmapi.ContainerSpec{Image: "busybox", Args: []string{"sleep", "100000"}}
	ca := a.mustRun(newTask(1, spec))
	b.mustRun(newTask(2, spec))
	r.eventually("b knows web.1", func() bool { return strings.Contains(b.sh("web.2.task2", "nslookup tasks.web"), "10.0.0.3") })
	if got := b.sh("web.2.task2", "ping -c1 -W2 10.0.0.3"); !strings.Contains(got, " 0% packet loss") {
		t.Errorf("ping = %s", got)
	}
	if v, ok := a.View(); !ok || len(v.Members) != 2 {
		t.Errorf("View = %+v, %v", v, ok)
	}
	r.must(a.SetNetworkBootstrapKeys(keys(2, 3, 4)))
	r.must(b.SetNetworkBootstrapKeys(keys(2, 3, 4)))
	r.must(ca.Shutdown(r.ctx))
	r.eventually("b forgets web.1", func() bool { return !strings.Contains(b.sh("web.2.task2", "nslookup tasks.web"), "10.0.0.3") })

	plain, err := b.eng.Create(engine.ContainerConfig{Name: "plain", Image: "busybox", Command: []string{"sleep", "100000"}, Networks: []cnm.EndpointConfig{{Network: "bridge"}}})
	r.must(err)
	r.must(plain.Start(r.ctx))
	r.must(b.Leave(r.ctx))
	b.end()
	if got := b.overlays(); got != "" {
		t.Errorf("W7: networks %s are left", got)
	}
	if _, ok := b.eng.Controller().Network(cnm.NetworkGateway); !ok {
		t.Error("W7: docker_gwbridge is gone")
	}
	if all := b.eng.Containers(); len(all) != 1 || all[0].Name() != "plain" {
		t.Errorf("W7: containers %v are left", all)
	}
	r.eventually("C3: a knows that b left", func() bool {
		v, _ := a.View()
		for _, m := range v.Members {
			if m.Name == "host-b" && m.State == 3 {
				return true
			}
		}
		return len(v.Members) == 1
	})
	r.join(1)
	b.mustRun(newTask(3, spec))
	a.mustRun(newTask(4, spec))
	r.eventually("again a member", func() bool { return strings.Contains(b.sh("web.3.task3", "nslookup tasks.web"), "10.0.0.6") })
}

// TestDrainToday: a task that is to end gets no new connections for two seconds before it is told (S14).
func TestDrainToday(t *testing.T) {
	r := newRig(t, 1, true)
	h := r.hosts[0]
	spec := swarmapi.ContainerSpec{Image: "busybox", Args: []string{"sleep", "100000"}}
	going := h.mustRun(newTask(1, spec))
	h.mustRun(newTask(2, spec))
	balancer, ok := h.eng.Controller().Sandbox("lb-overnet")
	if !ok {
		t.Fatal("S9: the host has no balancer for the network")
	}
	weights := func() string {
		var out []string
		for _, s := range balancer.NS().IPVS().Services() {
			for _, d := range s.Destinations {
				out = append(out, d.Addr.Addr().String()+"/"+string(rune('0'+d.Weight)))
			}
		}
		return strings.Join(out, " ")
	}
	if got := weights(); got != "10.0.0.3/1 10.0.0.4/1" {
		t.Errorf("before: %s", got)
	}
	done := make(chan error, 1)
	go func() { done <- going.Shutdown(r.ctx) }()
	r.eventually("weight 0", func() bool { return weights() == "10.0.0.3/0 10.0.0.4/1" })
	if h.container("web.1.task1").State() != engine.Running {
		t.Error("it was stopped at once")
	}
	r.must(<-done)
	if got := weights(); got != "10.0.0.4/1" {
		t.Errorf("after: %s", got)
	}
}

// resource gives places on overnet, as a manager does. It implements Resource.
type resource struct {
	h *host

	mu       sync.Mutex
	tasks    map[string]exec.Controller // guarded by mu
	refuse   error
	detached chan string
}

// AttachNetwork implements Resource: the task reaches the node like any other.
func (s *resource) AttachNetwork(ctx context.Context, q *swarmapi.AttachNetworkRequest) (*swarmapi.AttachNetworkResponse, error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	ip := "10.0.0.50"
	if len(q.Config.Addresses) > 0 {
		ip = q.Config.Addresses[0]
	}
	t := &swarmapi.Task{ID: "attach-" + ip, DesiredState: swarmapi.TaskStateRunning, Status: swarmapi.TaskStatus{State: swarmapi.TaskStateAssigned},
		Spec:     swarmapi.TaskSpec{Runtime: &swarmapi.TaskSpec_Attachment{Attachment: &swarmapi.NetworkAttachmentSpec{ContainerID: q.ContainerID}}},
		Networks: []*swarmapi.NetworkAttachment{{Network: network("overnet"), Addresses: []string{ip + "/24"}}},
	}
	go func() {
		c, err := s.h.run(t)
		if err != nil {
			s.h.r.Error(err)
			return
		}
		s.mu.Lock()
		s.tasks[t.ID] = c
		s.mu.Unlock()
		if err := c.Wait(s.h.r.ctx); err != nil {
			s.h.r.Error(err)
		}
		s.detached <- t.ID
	}()
	return &swarmapi.AttachNetworkResponse{AttachmentID: t.ID}, nil
}

// DetachNetwork implements Resource.
func (s *resource) DetachNetwork(ctx context.Context, q *swarmapi.DetachNetworkRequest) (*swarmapi.DetachNetworkResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &swarmapi.DetachNetworkResponse{}, s.tasks[q.AttachmentID].Remove(ctx)
}

func TestAttach(t *testing.T) {
	r := newRig(t, 1, false)
	h := r.hosts[0]
	res := &resource{h: h, tasks: make(map[string]exec.Controller), detached: make(chan string, 1)}
	h.cfg.Resource = func() Resource { return res }
	for _, x := range []struct {
		what string
		ip   netip.Addr
		want string
	}{{"any address", netip.Addr{}, "10.0.0.50"}, {"an address of the user", netip.MustParseAddr("10.0.0.99"), "10.0.0.99"}} {
		c, err := h.eng.Create(engine.ContainerConfig{
			Name: "plain", Image: "busybox", Command: []string{"sleep", "100000"}, Networks: []cnm.EndpointConfig{{Network: "overnet", IP: x.ip}},
		})
		r.must(err)
		r.must(c.Start(r.ctx))
		ep, ok := c.Sandbox().Endpoint("overnet")
		if !ok || ep.IP().String() != x.want {
			t.Errorf("%s: %v", x.what, ep)
		}
		r.must(c.Remove(r.ctx, engine.RemoveOptions{Force: true}))
		if got := <-res.detached; got != "attach-"+x.want {
			t.Errorf("%s: detached %s", x.what, got)
		}
		r.eventually("O4: the network is gone", func() bool { return h.overlays() == "ingress" })
	}
	for _, x := range []struct {
		refuse error
		want   string
	}{
		{status.Error(codes.NotFound, "network overnet not found"), "network overnet not found"},
		{status.Error(codes.PermissionDenied, "network overnet not manually attachable"),
			"Could not attach to network overnet: rpc error: code = PermissionDenied desc = network overnet not manually attachable"}, // O13
	} {
		res.refuse = x.refuse
		c, err := h.eng.Create(engine.ContainerConfig{Image: "busybox", Networks: []cnm.EndpointConfig{{Network: "overnet"}}})
		r.must(err)
		if err := c.Start(r.ctx); err == nil || err.Error() != x.want {
			t.Errorf("Start = %v; want %s", err, x.want)
		}
	}
}

// TestConfigure: the host follows the swarm's mind about the routing mesh.
func TestConfigure(t *testing.T) {
	r := newRig(t, 1, false)
	h := r.hosts[0]
	at := func(ip string) *swarmapi.Node {
		return &swarmapi.Node{Attachment: &swarmapi.NetworkAttachment{Network: network("ingress"), Addresses: []string{ip}}}
	}
	address := func() string {
		s := h.eng.Controller().Ingress()
		if s == nil {
			return "none"
		}
		ep, _ := s.Endpoint("ingress")
		return ep.IP().String()
	}
	for _, x := range []struct {
		node *swarmapi.Node
		want string
	}{{at("10.255.0.2/16"), "10.255.0.2"}, {at("10.255.0.9/16"), "10.255.0.9"}, {&swarmapi.Node{}, "none"}, {&swarmapi.Node{}, "none"}, {at("10.255.0.3/16"), "10.255.0.3"}} {
		r.must(h.Configure(r.ctx, x.node))
		if got := address(); got != x.want {
			t.Errorf("the host is on ingress at %s; want %s", got, x.want)
		}
	}
	if err := h.Configure(r.ctx, at("nonsense")); err == nil {
		t.Error("an address that is none was taken")
	}
	if d, err := h.Describe(r.ctx); err != nil || d.Hostname != "host-a" || d.Platform.OS != "linux" || len(d.Engine.Plugins) < 5 {
		t.Errorf("Describe = %v, %v", d, err)
	}
}
