package cnm

import (
	"net/netip"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// Directory is what the nodes of a swarm tell each other about endpoints.
type Directory interface {
	// Join makes this node take part in a network: w hears every record of it, those of the past first, in order, until
	// leave is called. Calls come one at a time per watcher and must not block for long.
	Join(network string, w Watcher) (leave func())
	// Publish makes a record known, or changes the one with its key.
	Publish(network string, r Record)
	// Withdraw takes a record back.
	Withdraw(network string, key string)
}

// Watcher hears of the records of a network.
type Watcher interface {
	Put(r Record)
	Delete(r Record)
}

// Record is what the nodes know of an endpoint.
type Record struct {
	Key      string // the endpoint's id
	Node     string // where it is
	VTEP     netip.Addr
	IP       netip.Prefix
	MAC      wire.MAC
	Name     string   // of the container or task
	Aliases  []string // other names of it on this network
	Service  *ServiceBinding
	Disabled bool // it is about to go: no new connections
}

// ServiceBinding says which service a task belongs to.
type ServiceBinding struct {
	ServiceID, ServiceName string
	VIP                    netip.Addr // of the service on the network; invalid: names lead to the tasks (dnsrr)
	Aliases                []string   // other names of the service on this network
	TaskName               string
	IngressPorts           []PortConfig // published on every node
}

// PortConfig is a published port of a service.
type PortConfig struct {
	Proto             string // tcp or udp
	Published, Target uint16
	Name              string // what it is called; may be empty
}
