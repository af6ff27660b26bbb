package swarm

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

// NetworkSpec says what a network of the cluster is to be.
type NetworkSpec struct {
	Name       string
	Subnet     netip.Prefix // zero: the first free pool
	Gateway    netip.Addr   // zero: the lowest address
	IPRange    netip.Prefix // zero: addresses are chosen from the whole subnet
	Internal   bool         // no way out
	Attachable bool         // containers that are no tasks may join
	Options    map[string]string
	Labels     map[string]string
}

// ServiceSpec says what a service is to be.
type ServiceSpec struct {
	Name         string
	Labels       map[string]string
	Container    ContainerSpec
	Networks     []NetworkTarget
	Ports        []PortSpec
	EndpointMode EndpointMode
	Global       bool     // a task on every node that fits; else Replicas of them
	Replicas     *int     // nil: 1
	Constraints  []string // as "node.role == worker", "node.hostname != host-a", "node.labels.rack == 1"
}

// ContainerSpec is what the containers of a service's tasks are made of. Host name and environment may hold placeholders, as
// {{.Node.Hostname}} or {{.Task.Slot}}.
type ContainerSpec struct {
	Image    string
	Command  []string
	Env      []string
	Hostname string // empty: the container's short id
	Labels   map[string]string
	DNS      []netip.Addr
	Hosts    map[string]netip.Addr // further lines of /etc/hosts
}

// NetworkTarget is a network that a service is on.
type NetworkTarget struct {
	Network string   // name or id
	Aliases []string // of the service on it
}

// PortSpec is a port of a service that is reachable from outside.
type PortSpec struct {
	Name      string
	Proto     string // empty: tcp
	Published uint16 // 0: the cluster chooses one
	Target    uint16
	Host      bool // on the task's own node only; else on every node, through the routing mesh
}

// EndpointMode says how a service's name is resolved.
type EndpointMode uint8

// The endpoint modes.
const (
	VIP   EndpointMode = iota // to a virtual address
	DNSRR                     // to the addresses of the tasks
)

// String returns the mode as --endpoint-mode takes it.
func (m EndpointMode) String() string {
	if m == DNSRR {
		return "dnsrr"
	}
	return "vip"
}

// replicas returns how many tasks a replicated service wants.
func (s *ServiceSpec) replicas() int {
	if s.Replicas == nil {
		return 1
	}
	return max(0, *s.Replicas)
}

// clone returns a copy that shares nothing that is ever changed.
func (s ServiceSpec) clone() ServiceSpec {
	s.Networks, s.Ports, s.Constraints = slices.Clone(s.Networks), slices.Clone(s.Ports), slices.Clone(s.Constraints)
	if s.Replicas != nil {
		s.Replicas = new(*s.Replicas)
	}
	return s
}

var serviceName = regexp.MustCompile(`^[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+|_+[a-zA-Z0-9]+)*$`)

// normalize fills in defaults, and refuses what makes no sense.
func (s *ServiceSpec) normalize() error {
	switch {
	case !serviceName.MatchString(s.Name):
		return fmt.Errorf("service %q: name must be valid as a DNS name component", s.Name)
	case len(s.Name) > 63:
		return fmt.Errorf("service %q: name must be 63 characters or fewer", s.Name)
	case s.Container.Image == "":
		return fmt.Errorf("service %s: ContainerSpec: image reference must be provided", s.Name)
	case s.Replicas != nil && *s.Replicas < 0:
		return fmt.Errorf("service %s: number of replicas must be 0 or more, not %d", s.Name, *s.Replicas)
	}
	for _, text := range s.Constraints {
		if _, err := parseConstraint(text); err != nil {
			return fmt.Errorf("service %s: %w", s.Name, err)
		}
	}
	return s.normalizePorts()
}

func (s *ServiceSpec) normalizePorts() error {
	type key struct {
		proto string
		port  uint16
		host  bool
	}
	seen := make(map[key]bool)
	for i := range s.Ports {
		p := &s.Ports[i]
		if p.Proto == "" {
			p.Proto = "tcp"
		}
		if p.Proto != "tcp" && p.Proto != "udp" {
			return fmt.Errorf("service %s: port %d: protocol %q is neither tcp nor udp", s.Name, p.Target, p.Proto)
		}
		if p.Target == 0 {
			return fmt.Errorf("service %s: published port %d has no target port", s.Name, p.Published)
		}
		if !p.Host && s.EndpointMode == DNSRR {
			return errors.New("EndpointSpec: port published with ingress mode can't be used with dnsrr mode") // S12
		}
		k := key{p.Proto, p.Published, p.Host}
		if p.Published != 0 && seen[k] {
			return errors.New("EndpointSpec: duplicate published ports provided")
		}
		seen[k] = true
	}
	return nil
}
