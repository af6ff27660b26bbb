package lab

import (
	"slices"
	"testing"
	"time"
)

const fourHosts = `
netsim: 1
name: four-hosts
fabric:
  switches: {s1: {}}
  routers: {r: {links: {s1: 10.0.0.254/24, d: 10.1.0.254/24}}}
  hosts:
    a: {links: {s1: 10.0.0.1/24}, gateway: 10.0.0.254}
    b: {links: {s1: 10.0.0.2/24}, gateway: 10.0.0.254}
    c: {links: {s1: 10.0.0.3/24}, gateway: 10.0.0.254}
    d: {links: {r: 10.1.0.4/24}, gateway: 10.1.0.254}
steps:
  - partition: [[a, b], [d]]
  - {on: a, expect: {timeout: d, reachable: [b, c, r]}}
  - {on: d, expect: {timeout: [a, b], reachable: [c, r]}}
  - {on: d, run: "ping -c 1 -W 1 10.0.0.2", expect: {status: 1, dropped_because: partition}}
  - {heal: true, partition: [a]}
  - {on: a, expect: {timeout: [b, c, d], reachable: r}}
  - {on: b, expect: {timeout: a, reachable: [c, d]}}
  - name: Heals, and cuts a cable in one direction
    heal: true
    link: [{between: [a, s1], delay: 20ms}, {between: [s1, b], reverse: {down: true}}]
    on: a
    run: ping -c 1 10.1.0.4
    expect: {stdout: '/time=[2-9][0-9]/'}
  - {on: b, expect: {timeout: a}}
  - {link: {between: [a, s1], loss: 0%}, on: a, run: ping -c 1 10.1.0.4, expect: {stdout: '/time=[2-9][0-9]/'}}
  - {link: [{between: [a, s1], reset: true}, {between: [b, s1], down: false}], on: b, expect: {reachable: [a, d]}}
  - {link: {between: [a, s1], mtu: 1000}, on: a, run: ping -c 1 -W 1 -s 1200 10.0.0.2, expect: {status: 1, dropped_because: mtu}}
`

func TestStepsChangeTheFabric(t *testing.T) {
	l := start(t, fourHosts, Config{})
	got := &results{}
	sum, err := l.Play(t.Context(), got)
	if err != nil || !sum.OK() {
		t.Errorf("Play = %+v, %v", sum, err)
	}
	for _, r := range got.all {
		if !r.Passed {
			t.Errorf("step %q: %s", r.Step.Name, r.Reason)
		}
	}
	for i, want := range map[int]string{0: "partition a, b | d", 4: "heal; partition a", 9: "ping -c 1 10.1.0.4"} {
		if got.all[i].Step.Name != want {
			t.Errorf("step %d is called %q; want %q", i, got.all[i].Step.Name, want)
		}
	}
	want := []string{"heal", "link a s1: delay 20ms", "link s1 b: reverse down"}
	if lines := got.all[7].Step.Change.Lines(); !slices.Equal(lines, want) {
		t.Errorf("Lines = %q; want %q", lines, want)
	}
	if took := got.all[0].Elapsed; took > time.Second {
		t.Errorf("a change took %v", took)
	}
}

// results keeps how steps went.
type results struct {
	nobody
	all []StepResult
}

func (r *results) StepDone(x StepResult) { r.all = append(r.all, x) }

func TestPartitionRefuses(t *testing.T) {
	l := start(t, fourHosts, Config{})
	for _, groups := range [][][]string{{{"a", "x"}}, {{"a"}, {"r"}}, {{"a"}, {"b", "a"}}} {
		if all, err := l.Partition(PartitionRequest{Groups: groups}); err == nil {
			t.Errorf("Partition(%v) = %v; want an error", groups, all)
		}
	}
	all, err := l.Partition(PartitionRequest{Groups: [][]string{{"a"}, {"b"}}})
	if err != nil || len(all) != 1 || all[0] != (Parted{"a", "b"}) {
		t.Errorf("Partition = %v, %v", all, err)
	}
	if all, err = l.Partition(PartitionRequest{Groups: [][]string{{"c"}, {"b"}}}); err != nil || len(all) != 2 {
		t.Errorf("a second Partition = %v, %v; want them to add up", all, err)
	}
	if all, err = l.Partition(PartitionRequest{Heal: true}); err != nil || len(all) != 0 {
		t.Errorf("Heal = %v, %v", all, err)
	}
}

var _ Observer = (*results)(nil)

// Containers with addresses of the physical network are as far away as their host.
func TestPartitionOfMacvlan(t *testing.T) {
	l := start(t, `
netsim: 1
name: macvlan-parted
fabric:
  switches: {s1: {}}
  hosts:
    a: {links: {s1: 10.0.0.1/24}, engine: docker}
    b: {links: {s1: 10.0.0.2/24}, engine: docker}
networks:
  na: {driver: macvlan, host: a, subnet: 10.0.0.0/24, gateway: 10.0.0.254, parent: eth0}
  nb: {driver: macvlan, host: b, subnet: 10.0.0.0/24, gateway: 10.0.0.254, parent: eth0}
containers:
  ca: {host: a, image: redis, networks: {na: {ip: 10.0.0.80}}}
  cb: {host: b, image: redis, networks: {nb: {ip: 10.0.0.81}}}
steps:
  - {on: a/ca, expect: {reachable: 10.0.0.81}}
  - {partition: [[a], [b]], on: a/ca, expect: {timeout: [10.0.0.81, b]}}
  - {heal: true, on: a/ca, expect: {reachable: 10.0.0.81}, within: 10s}
`, Config{})
	sum, err := l.Play(t.Context(), nobody{})
	if err != nil || !sum.OK() {
		t.Errorf("Play = %+v, %v", sum, err)
	}
}
