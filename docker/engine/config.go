package engine

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// PullPolicy says when Create fetches an image.
type PullPolicy uint8

// The policies.
const (
	PullMissing PullPolicy = iota // where the host has none
	PullNever                     // a missing one is an error
	PullAlways
)

// Healthcheck is what tells whether a container works; see image.Healthcheck. A Test of NONE alone takes that of the
// image away.
type Healthcheck = image.Healthcheck

// RestartPolicy says when a container is started again by the engine.
type RestartPolicy struct {
	Name              string // no, always, unless-stopped or on-failure; empty: no
	MaximumRetryCount int    // of on-failure; 0: any number
}

// Resources are bounds that Docker gives to the kernel. They are kept for whoever asks, and bound nothing.
type Resources struct {
	Memory, MemoryReservation, MemorySwap, NanoCPUs, CPUShares, CPUPeriod, CPUQuota, PidsLimit int64
	CPUSetCPUs, CPUSetMems                                                                     string
}

// Mount is a mount of a container.
type Mount struct {
	Type, Source, Target string // of type volume, tmpfs; bind is refused
	ReadOnly             bool
}

// ContainerConfig says what a container is. Only Image must be set.
type ContainerConfig struct {
	Name       string // empty: a random one
	Image      string // a reference, as redis or redis:3, or the id of one that the host has
	Pull       PullPolicy
	Entrypoint []string // nil: the image's
	Command    []string // nil: the image's
	Env        []string // K=V, beside the image's; K alone takes the image's away
	Labels     map[string]string
	Hostname   string // empty: the first twelve digits of the id
	Domainname string
	User       string // everybody is root in a container
	WorkingDir string // empty: /

	TTY, OpenStdin, StdinOnce               bool
	AttachStdin, AttachStdout, AttachStderr bool // kept for whoever asks
	ConsoleSize                             Size // of the terminal

	StopSignal  string         // empty: the image's, or SIGTERM
	StopTimeout *time.Duration // nil: the engine's; below zero: without an end
	Healthcheck *Healthcheck   // nil: the image's
	// EarlyHealth has the health check begin as soon as the program runs, and not after its interval, in which failures do
	// not count: a task is ready when its program is.
	EarlyHealth   bool
	RestartPolicy RestartPolicy
	AutoRemove    bool
	Init          bool // a process 1 of the engine's that hands on signals
	Resources     Resources

	// Networks are those that the container joins when it starts; empty: NetworkMode says it.
	Networks []cnm.EndpointConfig
	// NetworkMode is host, none, container:REF, or the name of a network; empty or default: bridge, or the first of
	// Networks.
	NetworkMode  string
	MAC          wire.MAC          // on the network of NetworkMode; zero: the network's choice
	Ports        []cnm.PortBinding // published by the endpoint that is the way out, as far as Networks publishes none
	ExposedPorts []string          // 80/tcp, beside the image's
	PublishAll   bool              // publishes every exposed port on one of the host's
	DNS          []netip.Addr      // name servers; empty: the host's
	DNSSearch    []string          // nil: the host's
	DNSOptions   []string          // nil: the host's
	ExtraHosts   []string          // NAME:IP for /etc/hosts; the IP may be host-gateway
	Links        []string          // CONTAINER:ALIAS or CONTAINER

	// Accepted, without a meaning here.
	Privileged, ReadonlyRootfs   bool
	CapAdd, CapDrop, SecurityOpt []string
	// What would reach the real machine is refused: binds of paths, devices, the host's process ids and the like.
	// Volumes and memory file systems are accepted; what a container writes goes with it.
	Binds, Volumes, VolumesFrom, Devices                []string
	Mounts                                              []Mount
	PIDMode, IPCMode, UTSMode, UsernsMode, CgroupnsMode string

	// Files are there when the program starts, by their paths: secrets and configs of a swarm.
	Files map[string][]byte

	// Origin is whatever the maker wants to find again in Config. The engine does not look at it.
	Origin any
	// BeforeRun is called each time the container is on its networks and its program is about to start, which it can put off or
	// refuse; its context is Start's. nil: nothing is waited for.
	BeforeRun func(ctx context.Context) error
	// OnExit is called with the program's status each time the container has exited, unless the whole group ends; Stop
	// and Kill return after it has. nil: nobody wants to know.
	OnExit func(code int)
}

func (c ContainerConfig) clone() ContainerConfig {
	for _, list := range []*[]string{
		&c.Entrypoint, &c.Command, &c.Env, &c.ExposedPorts, &c.DNSSearch, &c.DNSOptions, &c.ExtraHosts, &c.Links,
		&c.CapAdd, &c.CapDrop, &c.SecurityOpt, &c.Binds, &c.Volumes, &c.VolumesFrom, &c.Devices,
	} {
		*list = slices.Clone(*list)
	}
	c.Networks, c.Ports, c.DNS, c.Mounts = slices.Clone(c.Networks), slices.Clone(c.Ports), slices.Clone(c.DNS), slices.Clone(c.Mounts)
	c.Labels, c.Files = maps.Clone(c.Labels), maps.Clone(c.Files)
	if c.Healthcheck != nil {
		h := *c.Healthcheck
		h.Test = slices.Clone(h.Test)
		c.Healthcheck = &h
	}
	return c
}

// containerPrefix begins the network mode of a container that shares the network of another.
const containerPrefix = "container:"

// normalise gives NetworkMode and Networks one form: the mode is never empty or default, and what the container joins
// is in Networks, unless it is in the network of the host, of another container, or in none.
func (c *ContainerConfig) normalise() {
	if c.NetworkMode == "" || c.NetworkMode == "default" {
		c.NetworkMode = cnm.NetworkBridge
		if len(c.Networks) > 0 && c.Networks[0].Network != "default" {
			c.NetworkMode = c.Networks[0].Network
		}
	}
	for i := range c.Networks {
		if c.Networks[i].Network == "default" {
			c.Networks[i].Network = cnm.NetworkBridge
		}
	}
	if c.shares() != "" {
		return
	}
	at := slices.IndexFunc(c.Networks, func(ep cnm.EndpointConfig) bool { return ep.Network == c.NetworkMode })
	if at < 0 {
		at = len(c.Networks)
		if at == 0 {
			c.Networks = append(c.Networks, cnm.EndpointConfig{Network: c.NetworkMode})
		} else {
			at = 0 // the mode names the network by an id, or another way
		}
	}
	if c.Networks[at].MAC.IsZero() {
		c.Networks[at].MAC = c.MAC
	}
}

// shares returns the container whose network this one shares; empty: it has one of its own.
func (c *ContainerConfig) shares() string {
	ref, ok := strings.CutPrefix(c.NetworkMode, containerPrefix)
	if !ok {
		return ""
	}
	return ref
}

// ParsePortBinding reads a published port as the API has it: the container's port as 80/tcp, and the host's address and
// port, each of which may be empty; the port may be a range. The error wraps ErrInvalid.
func ParsePortBinding(port, hostIP, hostPort string) (cnm.PortBinding, error) {
	var b cnm.PortBinding
	number, proto, err := ParsePort(port)
	if err != nil {
		return b, err
	}
	b.Proto, b.ContainerPort = proto, number
	if hostIP != "" {
		if b.HostIP, err = netip.ParseAddr(hostIP); err != nil {
			return b, fail(ErrInvalid, "invalid IP address: %s", hostIP)
		}
		if b.HostIP = b.HostIP.Unmap(); b.HostIP == netip.IPv6Unspecified() {
			b.HostIP = netip.IPv4Unspecified()
		}
		if !b.HostIP.Is4() {
			return b, fail(ErrInvalid, "invalid IP address: %s: there is no IPv6 on this host", hostIP)
		}
	}
	if hostPort == "" || hostPort == "0" {
		return b, nil
	}
	first, last, isRange := strings.Cut(hostPort, "-")
	start, err1 := strconv.ParseUint(first, 10, 16)
	end := start
	if isRange {
		end, err = strconv.ParseUint(last, 10, 16)
	}
	if err1 != nil || err != nil || end < start || start == 0 {
		return b, fail(ErrInvalid, "invalid port specification: %q", hostPort)
	}
	b.HostPort = uint16(start)
	if end > start {
		b.HostPortEnd = uint16(end)
	}
	return b, nil
}

// ParsePort reads a port of a container: 80/tcp, 53/udp, or 80 for tcp. The error wraps ErrInvalid.
func ParsePort(text string) (port uint16, proto string, err error) {
	number, proto, ok := strings.Cut(strings.ToLower(text), "/")
	if !ok {
		proto = "tcp"
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return 0, "", fail(ErrInvalid, "invalid port specification: %q", text)
	}
	switch proto {
	case "tcp", "udp":
		return uint16(n), proto, nil
	case "sctp":
		return 0, "", fail(ErrInvalid, "invalid port %q: sctp is not carried here", text)
	}
	return 0, "", fail(ErrInvalid, "invalid proto: %s", proto)
}

func portText(port uint16, proto string) string {
	if proto == "" {
		proto = "tcp"
	}
	return fmt.Sprintf("%d/%s", port, proto)
}
