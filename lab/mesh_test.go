package lab

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/shell"
)

const meshLab = `
netsim: 1
name: mesh-lab
compat: modern
fabric:
  switches: {tor: {}}
  hosts:
    m1: {links: {tor: 192.168.1.1/24}, engine: docker}
    m2: {links: {tor: 192.168.1.2/24}, engine: docker}
    m3: {links: {tor: 192.168.1.3/24}, engine: docker}
    w1: {links: {tor: 192.168.1.11/24}, engine: docker}
    w2: {links: {tor: 192.168.1.12/24}, engine: docker}
    w3: {links: {tor: 192.168.1.13/24}, engine: docker}
    client: {links: {tor: 192.168.1.100/24}}
swarm: {managers: [m1, m2, m3], workers: [w1, w2, w3]}
services:
  web: {image: ehazlett/docker-demo, command: [-close-conn], replicas: 6, ports: ["8000:8080"], constraints: [node.role == worker]}
`

// meshLoad is somebody who asks for a page at three nodes in turn, and what came of it.
type meshLoad struct {
	client *Node

	wg      sync.WaitGroup
	mu      sync.Mutex
	sent    int            // guarded by mu
	answers map[string]int // by task, guarded by mu
	lost    []string       // when and why, guarded by mu
}

// meshEntries are the nodes that are asked: they live through everything.
var meshEntries = []string{"m2", "m3", "w3"}

// run asks 200 times a second.
func (m *meshLoad) run(d time.Duration) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range d / (5 * time.Millisecond) {
		<-tick.C
		at := map[string]string{"m2": "192.168.1.2", "m3": "192.168.1.3", "w3": "192.168.1.13"}[meshEntries[m.sent%len(meshEntries)]]
		m.mu.Lock()
		m.sent++
		m.mu.Unlock()
		m.wg.Go(func() { m.ask(at + ":8000") })
	}
}

var instanceForm = regexp.MustCompile(`"instance":"([0-9a-f]+)"`)

// ask asks once.
func (m *meshLoad) ask(at string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	began, answer := time.Now(), ""
	conn, err := m.client.Dial(ctx, "tcp", at)
	if err == nil {
		defer conn.Close() //nolint:errcheck // the answer is there, or not
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		var b []byte
		if _, err = conn.Write([]byte("GET /ping HTTP/1.0\r\nHost: web\r\n\r\n")); err == nil {
			b, err = io.ReadAll(conn)
		}
		if g := instanceForm.FindSubmatch(b); g != nil {
			answer = string(g[1])
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if answer != "" {
		m.answers[answer]++
		return
	}
	m.lost = append(m.lost, fmt.Sprintf("at %s by %s: %v", began.Format("05.000"), at, err))
}

func (m *meshLoad) count() (sent, lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent, len(m.lost)
}

// connections adds the connections that the mesh has led to tasks that said nothing yet.
func (m *meshLoad) connections(t *testing.T, l *Lab, known map[string]bool, tasks []string) {
	t.Helper()
	for _, node := range meshEntries {
		var out strings.Builder
		const line = "nsenter --net=/var/run/docker/netns/ingress_sbox ipvsadm -lnc"
		if status, err := l.MustNode(node).Run(soon(t), line, shell.Stdio{Out: &out, Err: &out}); err != nil || status != 0 {
			t.Fatalf("%s: %d, %v\n%s", line, status, err, out.String())
		}
		for line := range strings.Lines(out.String()) {
			f := strings.Fields(line) // pro expire state source virtual destination
			if len(f) != 6 || f[2] != "SYN_RECV" {
				continue
			}
			if addr, _, _ := strings.Cut(f[5], ":"); slices.Contains(tasks, addr) {
				known[node+" "+f[3]] = true
			}
		}
	}
}

// ingressAddrs are the addresses of a host's tasks in the network ingress.
func ingressAddrs(l *Lab, host string) (all []string) {
	for _, c := range l.Engine(host).Containers() {
		if ep, ok := c.Sandbox().Endpoint("ingress"); ok {
			all = append(all, ep.IP().String())
		}
	}
	return all
}

// nodeOf returns a node of the swarm as a manager sees it.
func nodeOf(t *testing.T, l *Lab, manager, host string) *swarmapi.Node {
	t.Helper()
	r, err := l.SwarmNode(manager).Control().ListNodes(soon(t), &swarmapi.ListNodesRequest{})
	if err != nil { // there may be no leader
		t.Logf("%s knows no nodes now: %v", manager, err)
		return &swarmapi.Node{}
	}
	for _, n := range r.Nodes {
		if n.Description.Hostname == host {
			return n
		}
	}
	t.Fatalf("%s knows no node %s", manager, host)
	return nil
}

// update changes a node.
func update(t *testing.T, l *Lab, host string, change func(*swarmapi.NodeSpec)) {
	t.Helper()
	n := nodeOf(t, l, "m2", host)
	change(&n.Spec)
	if _, err := l.SwarmNode("m2").Control().UpdateNode(soon(t), &swarmapi.UpdateNodeRequest{NodeID: n.ID, NodeVersion: &n.Meta.Version, Spec: &n.Spec}); err != nil {
		t.Fatal(err)
	}
}

// 200 requests a second through the routing mesh, while a node drains, the leader changes and a worker dies (R6, S4, S14, S16): no
// request is lost but those that were on their way to tasks of the worker, until gossip had found out. Each task gets as much as the others.
func TestMeshUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	l := start(t, meshLab, Config{})
	converged, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.WaitConverged(converged); err != nil {
		t.Fatal(err)
	}
	m := &meshLoad{client: l.MustNode("client"), answers: map[string]int{}}
	meshAtRest(t, m)
	meshChanges(t, l, m)
	meshLosesWorker(t, l, m)
}

func meshAtRest(t *testing.T, m *meshLoad) {
	m.run(3 * time.Second)
	m.wg.Wait()
	for task, n := range m.answers {
		if n < 95 || n > 105 {
			t.Errorf("task %s answered %d of 600 requests; want 100, or 5 %% more or less", task, n)
		}
	}
	if _, lost := m.count(); lost > 0 || len(m.answers) != 6 {
		t.Fatalf("at rest %d of 600 requests were lost, and %d tasks answered: %v", lost, len(m.answers), m.lost)
	}
	t.Logf("at rest: 600 requests, by task %v", m.answers)
}

func meshChanges(t *testing.T, l *Lab, m *meshLoad) {
	before, _ := m.count()
	update(t, l, "w2", func(s *swarmapi.NodeSpec) { s.Availability = swarmapi.NodeAvailabilityDrain })
	m.run(4 * time.Second)
	update(t, l, "m1", func(s *swarmapi.NodeSpec) { s.DesiredRole = swarmapi.NodeRoleWorker })
	m.run(6 * time.Second)
	m.wg.Wait()
	sent, lost := m.count()
	t.Logf("while a node drained and the leader changed: %d requests, %d lost", sent-before, lost)
	if lost > 0 {
		t.Errorf("while w2 was drained and the leader changed %d of %d requests were lost: %v; dropped: %v", lost, sent-before, m.lost, l.Drops())
	}
	eventually(t, "there is a new leader", func() bool {
		return slices.ContainsFunc([]string{"m2", "m3"}, func(host string) bool {
			n := nodeOf(t, l, "m2", host)
			return n.ManagerStatus != nil && n.ManagerStatus.Leader
		})
	})
}

// meshLosesWorker takes a worker away from everybody. A new connection from a port that one to a dead task had may still be
// led there: a hundredth of the requests is forgiven at first, and one in 25 right after, when most such ports are young.
func meshLosesWorker(t *testing.T, l *Lab, m *meshLoad) {
	before, _ := m.count()
	dead, doomed := ingressAddrs(l, "w1"), map[string]bool{}
	if _, err := l.Partition(PartitionRequest{Groups: [][]string{{"w1"}}}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		m.run(500 * time.Millisecond)
		m.connections(t, l, doomed, dead)
	}
	m.wg.Wait()
	sent, lost := m.count()
	t.Logf("while a worker with %d of 6 tasks died: %d requests, of which the mesh had led %d to its tasks; %d lost (%.1f %%)",
		len(dead), sent-before, len(doomed), lost, 100*float64(lost)/float64(sent-before))
	if lost > len(doomed)+(sent-before)/100 {
		t.Errorf("%d requests were lost, more than were led to the tasks that died: %v; dropped: %v", lost, m.lost[max(0, lost-10):], l.Drops())
	}
	m.run(2 * time.Second)
	m.wg.Wait()
	now, after := m.count()
	t.Logf("once the nodes knew of it: %d requests, %d lost", now-sent, after-lost)
	if after-lost > (now-sent)/25 {
		t.Errorf("once the nodes knew of it %d of %d requests were lost: %v; dropped: %v", after-lost, now-sent, m.lost[lost:], l.Drops())
	}
}
