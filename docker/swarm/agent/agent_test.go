package agent

import (
	"errors"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/manager/state/store"
)

// soon is longer than the dispatcher takes to hand on what came at once: a batch of assignments and one of states.
const soon = time.Second

func container(image string) swarmapi.TaskSpec {
	return swarmapi.TaskSpec{Runtime: &swarmapi.TaskSpec_Container{Container: &swarmapi.ContainerSpec{Image: image}}}
}

func TestLifeOfATask(t *testing.T) {
	inRig(t, func(r *rig) {
		r.want("at first", "keys 7", "configure ACTIVE")
		if got := r.nodeState(); got != "READY 192.168.1.3 host-a" {
			t.Errorf("node is %s", got)
		}
		if seen := r.messages(); len(seen) == 0 || seen[0].Managers[0].Peer.Addr != "192.168.1.2:2377" {
			t.Errorf("sessions' messages = %v", seen)
		}
		r.assign("t1", swarmapi.TaskStateReady, container("redis"))
		time.Sleep(soon)
		r.want("W31: desired Ready", "prepare t1")
		if got := r.status("t1"); got != "READY" {
			t.Errorf("t1 is %s", got)
		}
		r.desire("t1", swarmapi.TaskStateRunning)
		time.Sleep(soon)
		r.want("desired Running", "update t1", "start t1")
		if got := r.status("t1"); got != "RUNNING" {
			t.Errorf("t1 is %s", got)
		}
		r.e.task("t1").exit <- errors.New("task: non-zero exit (137)")
		time.Sleep(soon)
		if got := r.status("t1"); got != "FAILED: task: non-zero exit (137)" {
			t.Errorf("t1 is %s", got)
		}
		r.desire("t1", swarmapi.TaskStateShutdown)
		time.Sleep(soon)
		if got := r.status("t1"); got != "FAILED: task: non-zero exit (137)" {
			t.Errorf("W22: a state moved back: t1 is %s", got)
		}
		r.e.take()
		r.update(func(tx store.Tx) error { return store.DeleteTask(tx, "t1") })
		time.Sleep(soon)
		r.want("deleted", "remove t1", "close t1")
	})
}

func TestEndsOfTasks(t *testing.T) {
	inRig(t, func(r *rig) {
		r.assign("none", swarmapi.TaskStateRunning, container("none"))
		r.assign("ends", swarmapi.TaskStateRunning, container("redis"))
		r.assign("stops", swarmapi.TaskStateRunning, container("redis"))
		r.assign("late", swarmapi.TaskStateShutdown, container("redis"))
		time.Sleep(soon)
		r.e.task("ends").exit <- nil
		r.desire("stops", swarmapi.TaskStateShutdown)
		time.Sleep(soon)
		for id, want := range map[string]string{
			"none": "REJECTED: no such image", "ends": "COMPLETE", "stops": "SHUTDOWN", "late": "SHUTDOWN",
		} {
			if got := r.status(id); got != want {
				t.Errorf("%s is %s; want %s", id, got, want)
			}
		}
	})
}

// TestStopWhileStarting: a task whose start takes long is stopped all the same.
func TestStopWhileStarting(t *testing.T) {
	inRig(t, func(r *rig) {
		r.assign("t1", swarmapi.TaskStateReady, container("redis"))
		time.Sleep(soon)
		r.e.task("t1").slow = time.Hour
		r.desire("t1", swarmapi.TaskStateRunning)
		time.Sleep(soon)
		if got := r.status("t1"); got != "STARTING" {
			t.Errorf("t1 is %s", got)
		}
		r.desire("t1", swarmapi.TaskStateShutdown)
		time.Sleep(soon + retryPause)
		if got := r.status("t1"); got != "SHUTDOWN" {
			t.Errorf("t1 is %s", got)
		}
	})
}

// TestAssignmentsHang: a node that has a session and hears nothing of its tasks begins another one.
func TestAssignmentsHang(t *testing.T) {
	inRig(t, func(r *rig) {
		time.Sleep(soon)
		r.mu.Lock()
		r.hang = true
		r.mu.Unlock()
		r.reach(false) // the session that it has ends
		time.Sleep(6 * time.Second)
		r.reach(true)
		time.Sleep(maxBackoff)
		r.assign("t1", swarmapi.TaskStateRunning, container("redis"))
		time.Sleep(callTimeout + soon)
		if got := r.status("t1"); got != "RUNNING" {
			t.Errorf("t1 is %s", got)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.hang {
			t.Error("the agent never asked for assignments again")
		}
	})
}

// TestLostManager: without a way to the manager the node is down after three periods (W4); its tasks go on, and what happened
// meanwhile is reported when there is a way again.
func TestLostManager(t *testing.T) {
	inRig(t, func(r *rig) {
		r.assign("t1", swarmapi.TaskStateRunning, container("redis"))
		r.assign("t2", swarmapi.TaskStateRunning, container("redis"))
		time.Sleep(soon)
		r.reach(false)
		time.Sleep(5500*time.Millisecond + soon)
		if got := r.nodeState(); got != "READY 192.168.1.3 host-a" {
			t.Errorf("too soon, node is %s", got)
		}
		time.Sleep(12 * time.Second)
		if got := r.nodeState(); got != "DOWN 192.168.1.3 host-a" {
			t.Errorf("W4: node is %s", got)
		}
		r.e.task("t1").exit <- errors.New("it crashed")
		time.Sleep(time.Minute)
		if got := r.status("t1"); got != "RUNNING" {
			t.Errorf("t1 is %s", got)
		}
		waits := r.waits()
		if first, last := waits[0], waits[len(waits)-1]; first != int64(firstBackoff) || last != int64(maxBackoff) {
			t.Errorf("times between sessions go from %d to %d ns", first, last)
		}
		r.e.take()
		r.reach(true)
		time.Sleep(maxBackoff + soon)
		r.want("again")
		for id, want := range map[string]string{"t1": "FAILED: it crashed", "t2": "RUNNING"} {
			if got := r.status(id); got != want {
				t.Errorf("%s is %s; want %s", id, got, want)
			}
		}
		if got := r.nodeState(); got != "READY 192.168.1.3 host-a" {
			t.Errorf("node is %s", got)
		}
	})
}

// TestAnotherLeader: when the leader steps down the node registers with the next one at once, and its tasks do not notice.
func TestAnotherLeader(t *testing.T) {
	inRig(t, func(r *rig) {
		r.assign("t1", swarmapi.TaskStateRunning, container("redis"))
		time.Sleep(soon)
		r.e.take()
		r.cancel()
		time.Sleep(3 * time.Second)
		r.cancel = r.lead()
		r.update(func(tx store.Tx) error { return store.DeleteTask(tx, "t1") })
		r.assign("t2", swarmapi.TaskStateRunning, container("redis"))
		time.Sleep(maxBackoff + soon)
		if got := r.nodeState() + ", " + r.status("t2"); got != "READY 192.168.1.3 host-a, RUNNING" {
			t.Errorf("node and t2 are %s", got)
		}
		if c := r.e.task("t1"); c == nil {
			t.Error("t1 never ran")
		}
		notes := r.e.take()
		for _, want := range []string{"remove t1", "start t2"} {
			found := false
			for _, n := range notes {
				found = found || n == want
			}
			if !found {
				t.Errorf("no %q in %q", want, notes)
			}
		}
	})
}

// TestNewDescription: what the node has become is told within 20 s, in a session that goes on.
func TestNewDescription(t *testing.T) {
	inRig(t, func(r *rig) {
		r.e.rename("host-b")
		time.Sleep(describePeriod + soon)
		if got := r.nodeState(); got != "READY 192.168.1.3 host-b" {
			t.Errorf("node is %s", got)
		}
		if waits := r.waits(); len(waits) != 0 {
			t.Errorf("it waited %v", waits)
		}
	})
}

func TestConfigureAgain(t *testing.T) {
	inRig(t, func(r *rig) {
		time.Sleep(soon)
		r.e.take()
		r.update(func(tx store.Tx) error {
			n := store.GetNode(tx, r.node)
			n.Status.Message = "nobody cares"
			return store.UpdateNode(tx, n)
		})
		time.Sleep(soon)
		r.want("another status")
		r.update(func(tx store.Tx) error {
			n := store.GetNode(tx, r.node)
			n.Spec.Availability = swarmapi.NodeAvailabilityDrain
			return store.UpdateNode(tx, n)
		})
		time.Sleep(soon)
		r.update(func(tx store.Tx) error {
			c := store.GetCluster(tx, "cluster1")
			c.NetworkBootstrapKeys = append([]*swarmapi.EncryptionKey{{Key: []byte("fedcba9876543210"), LamportTime: 8}}, c.NetworkBootstrapKeys...)
			return store.UpdateCluster(tx, c)
		})
		time.Sleep(soon)
		r.want("another spec, another key", "configure DRAIN", "keys 8")
	})
}

func TestLeave(t *testing.T) {
	inRig(t, func(r *rig) {
		r.assign("t1", swarmapi.TaskStateRunning, container("redis"))
		time.Sleep(soon)
		r.e.take()
		if err := r.a.Leave(r.ctx); err != nil {
			t.Error(err)
		}
		r.want("W7", "terminate t1", "remove t1", "close t1")
		r.assign("t2", swarmapi.TaskStateRunning, container("redis"))
		time.Sleep(soon)
		r.want("after Leave")
		if err := r.a.Leave(r.ctx); err != nil {
			t.Error("again:", err)
		}
	})
}

// TestLeaveKills: a node that leaves waits for no program that takes its time to end, nor for one that was asked to before (W7).
func TestLeaveKills(t *testing.T) {
	inRig(t, func(r *rig) {
		r.assign("t1", swarmapi.TaskStateRunning, container("redis"))
		time.Sleep(soon)
		r.e.task("t1").deaf = make(chan struct{})
		r.update(func(tx store.Tx) error { return store.DeleteTask(tx, "t1") })
		time.Sleep(soon)
		r.e.take()
		begun := time.Now()
		if err := r.a.Leave(r.ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("Leave took %v; want none, in virtual time", took)
		}
		r.want("W7", "terminate t1", "remove t1", "close t1")
	})
}

// TestLeaveWithoutRun: an agent that does not run yet has nothing to take away.
func TestLeaveWithoutRun(t *testing.T) {
	if err := New(Config{Dispatcher: &manager{}, Executor: newEngine()}).Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSecretsAndConfigs: they are there before the task that uses them, and go with it.
func TestSecretsAndConfigs(t *testing.T) {
	inRig(t, func(r *rig) {
		r.update(func(tx store.Tx) error {
			return errors.Join(
				store.CreateSecret(tx, &swarmapi.Secret{ID: "s1", Spec: swarmapi.SecretSpec{Data: []byte("hush")}}),
				store.CreateConfig(tx, &swarmapi.Config{ID: "c1", Spec: swarmapi.ConfigSpec{Data: []byte("loud")}}))
		})
		r.assign("t1", swarmapi.TaskStateRunning, swarmapi.TaskSpec{Runtime: &swarmapi.TaskSpec_Container{Container: &swarmapi.ContainerSpec{
			Secrets: []*swarmapi.SecretReference{{SecretID: "s1", SecretName: "s"}}, Configs: []*swarmapi.ConfigReference{{ConfigID: "c1", ConfigName: "c"}},
		}}})
		time.Sleep(soon)
		s, err := r.e.secrets.Get("s1")
		c, err2 := r.e.configs.Get("c1")
		if err != nil || err2 != nil || string(s.Spec.Data)+string(c.Spec.Data) != "hushloud" {
			t.Errorf("secret %v (%v), config %v (%v)", s, err, c, err2)
		}
		r.update(func(tx store.Tx) error { return store.DeleteTask(tx, "t1") })
		time.Sleep(soon)
		_, err = r.e.secrets.Get("s1")
		_, err2 = r.e.configs.Get("c1")
		if err == nil || err2 == nil {
			t.Error("a secret or a config is there still")
		}
	})
}

// gap is a stream of assignments in which one is missing.
type gap struct {
	messages []*swarmapi.AssignmentsMessage
}

// Recv implements AssignmentStream.
func (g *gap) Recv() (*swarmapi.AssignmentsMessage, error) {
	if len(g.messages) == 0 {
		return nil, errUnreachable
	}
	m := g.messages[0]
	g.messages = g.messages[1:]
	return m, nil
}

// Close implements AssignmentStream.
func (g *gap) Close() {}

func TestGapInAssignments(t *testing.T) {
	message := func(appliesTo, resultsIn string) *swarmapi.AssignmentsMessage {
		return &swarmapi.AssignmentsMessage{AppliesTo: appliesTo, ResultsIn: resultsIn}
	}
	a := New(Config{Executor: newEngine()})
	for _, test := range []struct {
		what     string
		messages []*swarmapi.AssignmentsMessage
		want     error
	}{
		{"all in order", []*swarmapi.AssignmentsMessage{message("", "1"), message("1", "2"), message("2", "3")}, errUnreachable},
		{"one is missing", []*swarmapi.AssignmentsMessage{message("", "1"), message("2", "3"), message("3", "4")}, nil},
	} {
		g := &gap{test.messages}
		if err := a.follow(g); !errors.Is(err, test.want) {
			t.Errorf("%s: follow = %v; want %v", test.what, err, test.want)
		}
	}
}
