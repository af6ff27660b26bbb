package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/shell"
)

const lbLab = `
netsim: 1
name: lb-lab
compat: %s
fabric:
  switches: {tor: {}}
  hosts:
    host-a: {links: {tor: 192.168.1.2/24}, engine: docker}
    host-b: {links: {tor: 192.168.1.3/24}, engine: docker}
swarm: {managers: [host-a], workers: [host-b]}
networks:
  overnet: {driver: overlay, subnet: 10.1.0.0/24}
services:
  web: {image: nginx, replicas: 2, networks: [overnet]}
  probe: {image: nginx, networks: [overnet], constraints: [node.hostname == host-a]}
`

// prints runs a line on a node and returns what it printed, without what surrounds it.
func prints(t *testing.T, l *Lab, node, line string) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := l.MustNode(node).Run(soon(t), line, shell.Stdio{Out: &out, Err: &out}); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.TrimSpace(out.String())
}

// told has the tasks of web listen on a port that no one declared, and returns what each of four connections to it tells: the task
// that it came to, and where from.
func told(t *testing.T, l *Lab) (tasks, sources []string) {
	t.Helper()
	for _, task := range []string{"web.1", "web.2"} {
		ln, err := l.MustNode(task).Listen("tcp", ":7000")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		t.Cleanup(func() { ln.Close(); <-served }) //nolint:errcheck // it may be closed with its node
		go func() {
			defer close(served)
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				fmt.Fprint(c, task+" "+from)
				c.Close() //nolint:errcheck // it is written, or the other end says so
			}
		}()
	}
	for range 4 {
		c, err := l.MustNode("probe.1").Dial(soon(t), "tcp", "web:7000")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		c.Close() //nolint:errcheck // all is read
		task, from, ok := strings.Cut(string(b), " ")
		if err != nil || !ok {
			t.Fatalf("read %q, %v", b, err)
		}
		tasks, sources = append(tasks, task), append(sources, from)
	}
	return tasks, sources
}

// Where connections to a virtual address are balanced, and what the tasks see of the client: in the client's own namespace in the
// guide's time, and in a sandbox of the client's host today (E7, E8, S3, S8, S9, S10, S11). Any port goes through (S6).
func TestWhereServicesAreBalanced(t *testing.T) {
	for _, compat := range []string{"guide", "modern"} {
		t.Run(compat, func(t *testing.T) {
			l := start(t, fmt.Sprintf(lbLab, compat), Config{})
			converged, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := l.WaitConverged(converged); err != nil {
				t.Fatal(err)
			}
			tasks, sources := told(t, l)
			if tasks[0] == tasks[1] || tasks[0] != tasks[2] || tasks[1] != tasks[3] {
				t.Errorf("S3: %v answered; want both by turns", tasks)
			}
			balancer := todaysBalancer(l)
			client := l.MustNode("probe.1").Container().Sandbox()
			who := client
			if balancer != nil {
				who = balancer
			}
			at, _ := who.Endpoint("overnet")
			for _, from := range sources {
				if from != at.IP().String() {
					t.Errorf("S11: a task saw %s; want %s of %s", from, at.IP(), who.Name())
				}
			}
			if (balancer != nil) != (compat == "modern") {
				t.Fatalf("S9: balancer = %v", balancer)
			}
			eth0, _ := l.MustNode("web.1").NS().Interface("eth0")
			if has := slices.Contains(eth0.Addrs(), netip.MustParsePrefix("10.1.0.2/32")); has == (balancer != nil) {
				t.Errorf("S8: a task has %v", eth0.Addrs())
			}
			got := prints(t, l, "host-a", "nsenter --net=/var/run/docker/netns/"+client.ID()[:12]+" iptables -t mangle -S")
			if has := strings.Contains(got, "-d 10.1.0.2/32"); has == (balancer != nil) || has != (len(client.NS().IPVS().Services()) > 0) {
				t.Errorf("S10: %d services, and the rules of the client are\n%s", len(client.NS().IPVS().Services()), got)
			}
			if balancer != nil {
				testTodaysBalancer(t, l)
			}
		})
	}
}

// todaysBalancer returns the balancer of host-a on overnet; nil if there is none.
func todaysBalancer(l *Lab) *cnm.Sandbox {
	s, _ := l.Engine("host-a").Controller().Sandbox("lb-overnet")
	return s
}

// testTodaysBalancer looks into the balancer, as one would with nsenter (S9), has it answer a ping (E9), and go with the network (O4).
func testTodaysBalancer(t *testing.T, l *Lab) {
	n, _ := l.Engine("host-a").Controller().Network("overnet")
	enter := "nsenter --net=/var/run/docker/netns/lb_" + n.ID()[:9] + " "
	for line, want := range map[string]string{
		"ip addr show eth0":     "inet 10.1.0.2/32",
		"iptables -t mangle -S": "-A INPUT -d 10.1.0.2/32 -j MARK --set-xmark 0x1",
		"iptables -t nat -S":    "-A POSTROUTING -d 10.1.0.0/24 -m ipvs --ipvs -j SNAT --to-source " + n.Balancer().String(),
		"ipvsadm -ln":           "FWM  25",
	} {
		if got := prints(t, l, "host-a", enter+line); !strings.Contains(got, want) {
			t.Errorf("%s:\n%s\nwant %s", line, got, want)
		}
	}
	if got := prints(t, l, "host-a", enter+"ip route show default"); got != "" {
		t.Errorf("the balancer has a way out: %s", got)
	}
	if _, err := l.MustNode("probe.1").Ping(soon(t), "web"); err != nil {
		t.Errorf("E9: %v", err)
	}
	control := l.SwarmNode("host-a").Control()
	all, err := control.ListServices(soon(t), &swarmapi.ListServicesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all.Services {
		if _, err := control.RemoveService(soon(t), &swarmapi.RemoveServiceRequest{ServiceID: s.ID}); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, host := range []string{"host-a", "host-b"} {
		for ctl := l.Engine(host).Controller(); ; { // the tasks are given ten seconds, and two before
			if _, there := ctl.Sandbox("lb-overnet"); !there {
				break
			}
			if !pause(gone, 5*time.Millisecond) {
				t.Fatalf("the balancer of %s outlives the network", host)
			}
		}
	}
}
