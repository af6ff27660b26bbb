package lab_test

import (
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/lab/labtest"
)

const machines = `
netsim: 1
name: machines
fabric:
  switches: {tor: {}}
  hosts:
    manager1: {links: {tor: 192.168.99.100/24}, engine: docker}
    worker1: {links: {tor: 192.168.99.103/24}, engine: docker}
    laptop: {links: {tor: 192.168.99.1/24}}
`

// The tutorial's scripts ask docker-machine, from any host, for what the topology has.
func TestDockerMachine(t *testing.T) {
	l := labtest.YAML(t, machines)
	for _, row := range []struct {
		line, want string
		exit       int
	}{
		{"docker-machine ls -q", "manager1\nworker1\n", 0},
		{"docker-machine ls", "manager1   -        netsim   Running   tcp://192.168.99.100:2376", 0},
		{"docker-machine ip manager1 worker1", "192.168.99.100\n192.168.99.103\n", 0},
		{"docker-machine url worker1", "tcp://192.168.99.103:2376\n", 0},
		{"docker-machine status worker1", "Running\n", 0},
		{"docker-machine create -d virtualbox manager1", "Docker is up and running!\n", 0},
		{"docker-machine create -d virtualbox laptop", `Docker machine "laptop" does not exist`, 1},
		{"docker-machine create", "No machine name specified", 1},
		{"docker-machine env worker1", `export DOCKER_MACHINE_NAME="worker1"`, 0},
		{`docker-machine ssh worker1 "hostname; exit 3"`, "worker1\n", 3},
		{"docker-machine ssh manager1 ip -4 addr show eth0", "192.168.99.100/24", 0},
		{"echo over | docker-machine ssh worker1 cat", "over\n", 0},
		{"docker-machine ssh nosuch hostname", `Docker machine "nosuch" does not exist`, 1},
		{"docker-machine rm manager1", "the machines are hosts of the lab and end with it", 1},
		{"docker-machine bogus", "'bogus' is not a docker-machine command", 1},
		{"docker-machine", "Usage: docker-machine COMMAND", 0},
		{"docker-machine ip", "No machine name(s) specified", 1},
		{"for i in 1 2; do echo $(docker-machine ip manager1); done", "192.168.99.100\n192.168.99.100\n", 0},
	} {
		for _, host := range []string{"laptop", "manager1"} {
			if out, exit := l.Sh(host, row.line); exit != row.exit || !strings.Contains(out, row.want) {
				t.Errorf("%s$ %s = %d\n%s\nwant %d and %q", host, row.line, exit, out, row.exit, row.want)
			}
		}
	}
}
