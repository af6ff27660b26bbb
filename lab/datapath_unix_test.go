//go:build unix

package lab

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gogotypes "github.com/gogo/protobuf/types"
	swarmapi "github.com/moby/swarmkit/v2/api"
)

// dataPathLab has a stream over a bridge of w1, and one over an overlay from w1 to w2.
const dataPathLab = `
netsim: 1
name: data-path
fabric:
  switches: {tor: {}}
  hosts:
    m1: {links: {tor: 192.168.1.1/24}, engine: docker}
    m2: {links: {tor: 192.168.1.2/24}, engine: docker}
    m3: {links: {tor: 192.168.1.3/24}, engine: docker}
    w1: {links: {tor: 192.168.1.11/24}, engine: docker}
    w2: {links: {tor: 192.168.1.12/24}, engine: docker}
swarm: {managers: [m1, m2, m3], workers: [w1, w2]}
networks:
  over: {driver: overlay, subnet: 10.1.0.0/16, attachable: true}
  lan: {driver: bridge, host: w1}
containers:
  c1: {host: w1, image: busybox, command: [sleep, infinity], networks: [lan]}
  c2: {host: w1, image: busybox, command: [sleep, infinity], networks: [lan]}
  c3: {host: w1, image: busybox, command: [sleep, infinity], networks: [over]}
  c4: {host: w2, image: busybox, command: [sleep, infinity], networks: [over]}
`

// dataStream is a TCP stream between two containers.
type dataStream struct {
	bytes atomic.Int64
	gap   atomic.Int64 // the longest time without a byte, in nanoseconds
	wg    sync.WaitGroup
	end   func()
}

// startStream sends from one node to another; with a pause after each 64 KiB, or as fast as it goes.
func startStream(t testing.TB, l *Lab, from, to string, pause time.Duration) *dataStream {
	t.Helper()
	sink := l.MustNode(to)
	ln, err := sink.Listen("tcp", ":5201")
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.MustNode(from).Dial(soon(t), "tcp", sink.Container().Sandbox().Endpoints()[0].IP().String()+":5201")
	if err != nil {
		t.Fatal(err)
	}
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := &dataStream{}
	s.wg.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := out.Write(buf); err != nil {
				return // it has ended
			}
			if pause > 0 {
				time.Sleep(pause)
			}
		}
	})
	s.wg.Go(func() { s.read(in) })
	s.end = sync.OnceFunc(func() { _, _, _ = out.Close(), in.Close(), ln.Close(); s.wg.Wait() })
	t.Cleanup(s.end)
	return s
}

func (s *dataStream) read(in io.Reader) {
	buf := make([]byte, 256<<10)
	for last := time.Now(); ; {
		n, err := in.Read(buf)
		if err != nil {
			return // it has ended
		}
		now := time.Now()
		s.gap.Store(max(s.gap.Load(), int64(now.Sub(last))))
		last = now
		s.bytes.Add(int64(n))
	}
}

// dataPhase is what a stream did while something went on.
type dataPhase struct {
	bits      float64
	took, cpu time.Duration
	gap       time.Duration
}

func (p dataPhase) rate() float64 { return p.bits / p.took.Seconds() / 1e9 }

// perCPU is the rate for each processor that the whole process had.
func (p dataPhase) perCPU() float64 { return p.bits / p.cpu.Seconds() / 1e9 }

// during returns what the stream does while f runs.
func (s *dataStream) during(f func()) dataPhase {
	s.gap.Store(0)
	bytes, cpu, began := s.bytes.Load(), processorTime(), time.Now()
	f()
	return dataPhase{
		bits: float64(s.bytes.Load()-bytes) * 8, took: time.Since(began), cpu: processorTime() - cpu, gap: time.Duration(s.gap.Load()),
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// loseLeader cuts the leader off until another manager leads, and returns a function that puts it back.
func loseLeader(t testing.TB, l *Lab) (back func()) {
	t.Helper()
	leader := ""
	eventually(t, "there is a leader", func() bool { leader = leaderOf(t, l, ""); return leader != "" })
	if _, err := l.Partition(PartitionRequest{Groups: [][]string{{leader}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another manager leads", func() bool {
		time.Sleep(50 * time.Millisecond) // who looks all the time is what is measured
		return leaderOf(t, l, leader) != ""
	})
	return func() {
		if _, err := l.Partition(PartitionRequest{Heal: true}); err != nil {
			t.Error(err)
		}
		eventually(t, "the manager is back", func() bool {
			all, err := l.SwarmStatus(soon(t), "")
			return err == nil && all[0].Raft != nil && all[0].Raft.Leader != "" && all[0].Raft.Leader == all[1].Raft.Leader && all[1].Raft.Leader == all[2].Raft.Leader
		})
	}
}

// leaderOf is the manager that leads, other than one that cannot know that it does no more.
func leaderOf(t testing.TB, l *Lab, other string) string {
	t.Helper()
	all, err := l.SwarmStatus(soon(t), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if n.Raft != nil && n.Raft.State == "Leader" && n.Host != other {
			return n.Host
		}
	}
	return ""
}

// changeTasks starts tasks on the workers, on the network of a stream, and takes them away.
func changeTasks(t testing.TB, l *Lab, tasks int) {
	t.Helper()
	control := l.SwarmNode("m2").Control()
	network := ""
	eventually(t, "the network is there", func() bool {
		r, err := control.ListNetworks(soon(t), &swarmapi.ListNetworksRequest{Filters: &swarmapi.ListNetworksRequest_Filters{Names: []string{"over"}}})
		if err == nil && len(r.Networks) == 1 {
			network = r.Networks[0].ID
		}
		return network != ""
	})
	r, err := control.CreateService(soon(t), &swarmapi.CreateServiceRequest{Spec: &swarmapi.ServiceSpec{
		Annotations: swarmapi.Annotations{Name: fmt.Sprint("churn", time.Now().UnixNano())},
		Task: swarmapi.TaskSpec{
			Runtime: &swarmapi.TaskSpec_Container{Container: &swarmapi.ContainerSpec{
				Image: "busybox", Args: []string{"sleep", "infinity"}, StopGracePeriod: gogotypes.DurationProto(time.Millisecond),
			}},
			Placement: &swarmapi.Placement{Constraints: []string{"node.role==worker"}},
			Networks:  []*swarmapi.NetworkAttachmentConfig{{Target: network}},
		},
		Mode: &swarmapi.ServiceSpec_Replicated{Replicated: &swarmapi.ReplicatedService{Replicas: uint64(tasks)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	count := func(state swarmapi.TaskState) int {
		time.Sleep(100 * time.Millisecond) // likewise
		a, err := control.ListTasks(context.Background(), &swarmapi.ListTasksRequest{Filters: &swarmapi.ListTasksRequest_Filters{ServiceIDs: []string{r.Service.ID}}})
		if err != nil {
			return -1
		}
		n := 0
		for _, x := range a.Tasks {
			if x.Status.State >= state {
				n++
			}
		}
		return n
	}
	eventually(t, "all tasks run", func() bool { return count(swarmapi.TaskStateRunning) == tasks })
	if _, err := control.RemoveService(context.Background(), &swarmapi.RemoveServiceRequest{ServiceID: r.Service.ID}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no task is left", func() bool { return count(swarmapi.TaskStateNew) == 0 })
}

// dataPaths are the streams that are measured.
var dataPaths = []struct{ name, from, to string }{{"bridge", "w1/c1", "w1/c2"}, {"overlay", "w1/c3", "w2/c4"}}

// Data flows on while the leader is lost and tasks come and go, on the hosts that it passes. How fast is for BenchmarkDataPath.
func TestDataPath(t *testing.T) {
	if testing.Short() {
		t.Skip("an election takes seconds")
	}
	t.Parallel()
	l := start(t, dataPathLab, Config{})
	var streams []*dataStream
	for _, p := range dataPaths {
		streams = append(streams, startStream(t, l, p.from, p.to, 5*time.Millisecond))
	}
	flows := func(what string, f func()) {
		t.Helper()
		var before []int64
		for _, s := range streams {
			before = append(before, s.bytes.Load())
		}
		f()
		for i, s := range streams {
			eventually(t, fmt.Sprintf("%s: data flows over the %s", what, dataPaths[i].name), func() bool { return s.bytes.Load() > before[i] })
		}
	}
	var back func()
	flows("while another leader is elected", func() { back = loseLeader(t, l) })
	flows("while the old leader comes back", func() { back() })
	flows("while tasks come and go", func() { changeTasks(t, l, 20) })
}

// BenchmarkDataPath tells what elections and 1,000 changes of tasks take from a TCP stream: in parts of what it is at rest, by the clock and
// by the time of the processors. Where there are few of those, what the control plane uses is missing by the clock.
func BenchmarkDataPath(b *testing.B) {
	for _, p := range dataPaths {
		b.Run(p.name, func(b *testing.B) {
			for b.Loop() {
				l := start(b, dataPathLab, Config{})
				s := startStream(b, l, p.from, p.to, 0)
				rest := func() { time.Sleep(5 * time.Second) } // it is a rate
				before := s.during(rest)
				var back func()
				election := s.during(func() { back = loseLeader(b, l) })
				back()
				changes := s.during(func() {
					changeTasks(b, l, 250)
					changeTasks(b, l, 250)
				})
				after := s.during(rest)
				base, basePer := (before.rate()+after.rate())/2, (before.perCPU()+after.perCPU())/2
				b.ReportMetric(before.rate(), "Gbit/s-before")
				b.ReportMetric(after.rate(), "Gbit/s-after")
				b.ReportMetric(election.rate()/base, "election/rest")
				b.ReportMetric(election.perCPU()/basePer, "election/rest-by-CPU")
				b.ReportMetric(changes.rate()/base, "changes/rest")
				b.ReportMetric(changes.perCPU()/basePer, "changes/rest-by-CPU")
				b.ReportMetric(changes.took.Seconds(), "s-changes")
				b.ReportMetric(float64(before.gap.Milliseconds()), "ms-gap-rest")
				b.ReportMetric(float64(election.gap.Milliseconds()), "ms-gap-election")
				b.ReportMetric(float64(changes.gap.Milliseconds()), "ms-gap-changes")
				s.end()
				if err := l.Stop(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
