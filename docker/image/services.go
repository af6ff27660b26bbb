package image

import "net/netip"

// Services is what a swarm's managers tell a program that routes to its services. Its methods may be called at once from
// several goroutines.
type Services interface {
	// Services returns the services in the order in which they were created.
	Services() []Service
	// Changed returns a channel that is closed once Services may say something else; nil: nobody tells.
	Changed() <-chan struct{}
}

// Service is a service of the swarm. It belongs to who asked for it.
type Service struct {
	Name     string
	Labels   map[string]string
	Ports    []uint16         // of TCP that it publishes, as its containers have them
	Networks []ServiceNetwork // that it is on
	Tasks    []ServiceTask
}

// ServiceNetwork is a network that a service is on.
type ServiceNetwork struct {
	Name   string
	Labels map[string]string
	VIP    netip.Addr // the service's there; zero: it has none
}

// ServiceTask is a running task of a service that is not about to be stopped.
type ServiceTask struct {
	Name    string
	Addrs   map[string]netip.Addr // by the names of its networks
	Healthy bool                  // its health checks say so, or it has none
}
