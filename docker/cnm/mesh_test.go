package cnm_test

import (
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/netns"
)

// lives notes the times to live of the TCP packets that an interface sends or gets.
type lives struct {
	mu   sync.Mutex
	seen map[byte]bool // guarded by mu
}

func watchLives(t *testing.T, i *netns.Interface, way fabric.Direction) *lives {
	v := &lives{seen: map[byte]bool{}}
	t.Cleanup(i.Taps().Add(fabric.TapFunc(func(d fabric.Direction, f *fabric.Frame) {
		if ip := f.IPv4(); ip != nil && ip.Proto() == 6 && d == way {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.seen[ip.TTL()] = true
		}
	})))
	return v
}

// only returns the one time to live that was seen; 0: none, or several.
func (v *lives) only() (ttl byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.seen) == 1 {
		for ttl = range v.seen {
		}
	}
	return ttl
}

// R15: whoever comes by the routing mesh has passed two more routers, the host and its ingress sandbox, wherever the task is; what
// the task answers passes the same two.
func TestMeshTakesTwoHops(t *testing.T) {
	l := newSwarmLab(t, 2)
	l.service(serviceSpec{Name: "web", Host: "host-b", Ports: []portSpec{{Published: 8000, Target: 80}}})
	task, ok := l.task("web.1").NS().Interface("eth0")
	if !ok {
		t.Fatal("the task has no eth0")
	}
	client, _ := l.client.Interface("eth0")
	for _, entry := range []string{"192.168.1.2:8000", "192.168.1.3:8000"} {
		asked, answered := watchLives(t, task, fabric.In), watchLives(t, client, fabric.In)
		l.ask(l.client, entry)
		if in, out := asked.only(), answered.only(); in != 62 || out != 62 {
			t.Errorf("R15 by %s: the task gets TTL %d, the client %d; want 62, two less than was sent (0: none, or several)", entry, in, out)
		}
	}
}
