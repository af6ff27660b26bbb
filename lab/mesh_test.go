package lab

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
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
	late    int            // answered after a second or more, guarded by mu
	lost    []lostRequest  // guarded by mu
}

// lostRequest is a request that was not answered.
type lostRequest struct {
	at    string
	began time.Time
	err   error
}

// String says when, where and why.
func (r lostRequest) String() string {
	return fmt.Sprintf("at %s by %s: %v", r.began.Format("05.000"), r.at, r.err)
}

// meshPatience is how long a request may take: a SYN to a task that is gone is sent again after 1, 3, 7 and 15 seconds.
const meshPatience = 20 * time.Second

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
	ctx, cancel := context.WithTimeout(context.Background(), meshPatience)
	defer cancel()
	began, answer := time.Now(), ""
	conn, err := m.client.Dial(ctx, "tcp", at)
	if err == nil {
		defer conn.Close() //nolint:errcheck // the answer is there, or not
		_ = conn.SetDeadline(began.Add(meshPatience))
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
		if time.Since(began) >= time.Second {
			m.late++
		}
		return
	}
	m.lost = append(m.lost, lostRequest{at, began, err})
}

func (m *meshLoad) count() (sent, lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent, len(m.lost)
}

// tasksOn returns how many of the tasks that are behind the mesh run on a host.
func tasksOn(l *Lab, host string) (n int) {
	for _, c := range l.Engine(host).Containers() {
		if _, ok := c.Sandbox().Endpoint("ingress"); ok {
			n++
		}
	}
	return n
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
// request is lost but those that tasks of the worker were answering when it died. Each task gets as much as the others. The timeline
// mesh-under-load has the same with a leader that dies.
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
	m.run(4 * time.Second)
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

// meshLosesWorker takes a worker away from everybody. What was on its way to a task when that died may be lost, and nothing that
// began later: the SYN is sent again, and IPVS leads it elsewhere as soon as gossip has found out.
func meshLosesWorker(t *testing.T, l *Lab, m *meshLoad) {
	before, _ := m.count()
	dead := tasksOn(l, "w1")
	m.run(time.Second)
	if _, err := l.Partition(PartitionRequest{Groups: [][]string{{"w1"}}}); err != nil {
		t.Fatal(err)
	}
	died := time.Now()
	m.run(9 * time.Second)
	m.wg.Wait()
	sent, lost := m.count()
	t.Logf("while a worker with %d of 6 tasks died: %d requests, %d answered after a second or more, %d lost", dead, sent-before, m.late, lost)
	if dead == 0 || m.late == 0 {
		t.Errorf("the worker had %d tasks, and %d requests came late: nothing was put to the test", dead, m.late)
	}
	for _, r := range m.lost {
		if r.began.After(died) {
			t.Errorf("a request was lost %v after the worker had died: %v; dropped: %v", r.began.Sub(died), r, l.Drops())
		}
	}
}
