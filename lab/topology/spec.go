package topology

import (
	"net/netip"
	"time"
)

// Compat names the era of Docker that a lab imitates.
type Compat string

// The eras: the guide's (1.12 to 17.03), which is the default, the same with the API of 17.03, and today's.
const (
	CompatGuide  Compat = "guide"
	Compat1703   Compat = "17.03"
	CompatModern Compat = "modern"
)

// Spec is a whole topology file, checked and with defaults filled in.
type Spec struct {
	Pos         Pos // where the document starts
	Name        string
	Description string
	Guide       string // title of the guide's chapter that it shows; may be empty
	Compat      Compat
	Seed        uint64 // start of every pseudo-random choice
	Fabric      Fabric
	Swarm       *Swarm // nil: the engines form no cluster
	Plugins     []Plugin
	Networks    []Network
	Services    []Service
	Containers  []Container
	Expose      []Expose // ports of nodes at addresses of the machine that runs the lab
	Needs       []Need   // what the machine must have
	Steps       []Step
}

// Ref is a name that the file mentions, with the place of the mention.
type Ref struct {
	Pos  Pos
	Name string
}

// Setting is one key and value of an ordered map, such as an environment
// variable, a label or a driver option.
type Setting struct {
	Pos   Pos
	Name  string
	Value string
}

// HostName is a name and its addresses, for extra_hosts and the internet.
type HostName struct {
	Pos   Pos
	Name  string
	Addrs []netip.Addr // at least one
}

// Fabric is the physical network: what one would cable.
type Fabric struct {
	Pos      Pos
	Listen   netip.AddrPort // where this process hears those that run the remote nodes; valid if there are any
	Switches []Switch
	Routers  []Router
	Hosts    []Host
	Links    []Link
	Internet *Internet // nil: nothing outside the lab has a name
}

// Switch is a learning Ethernet switch.
type Switch struct {
	Pos    Pos
	Name   string
	Remote netip.AddrPort // the process that runs it; zero: this one
	STP    *STP           // nil: the spanning tree protocol is not spoken
	VLANs  []PortVLAN     // ports that are not plain members of VLAN 1
	TAPs   []TAP          // devices of the kernel that are plugged in
}

// STP says how a switch speaks the spanning tree protocol.
type STP struct {
	Pos      Pos
	Legacy   bool // the protocol of 1998, which takes half a minute, instead of the rapid one
	Priority int  // the switch with the lowest is the root: 0 to 61440 in steps of 4096; 32768 unless given
	Costs    []PortCost
}

// PortCost is the cost of the ways through a switch's ports towards Peer.
type PortCost struct {
	Peer Ref
	Cost int
}

// PortVLAN says which VLANs the port towards Peer carries.
type PortVLAN struct {
	Pos    Pos
	Peer   string   // node at the other end of the cable
	Access uint16   // untagged frames belong to it; 0: untagged frames are not carried
	Trunk  []uint16 // carried with a tag
}

// Attachment is one interface of a router or host: eth0 is the first, eth1
// the second, and so on.
type Attachment struct {
	Pos  Pos
	To   string       // switch, router or host at the other end
	Addr netip.Prefix // address and prefix length; zero: no address

	addrPos Pos
}

// Route is a static route.
type Route struct {
	Pos    Pos
	To     netip.Prefix
	Via    []netip.Addr // at least one; the flows are shared among several
	Metric int          // of two routes to one subnet, that with the lower metric is taken while it can be
}

// Router forwards between its links and runs no engine.
type Router struct {
	Pos    Pos
	Name   string
	Remote netip.AddrPort // the process that runs it; zero: this one
	Links  []Attachment
	Routes []Route
}

// EngineDocker is the one engine that a host can run.
const EngineDocker = "docker"

// Host is a machine.
type Host struct {
	Pos        Pos
	Name       string
	Remote     netip.AddrPort // the process that runs it; zero: this one
	Links      []Attachment
	Engine     string       // EngineDocker, or empty for a machine without containers
	Gateway    netip.Addr   // default route; zero: none
	Routes     []Route      // further static routes
	DNS        []netip.Addr // name servers; empty: the lab's own, which knows all hosts and the internet's names
	ExtraHosts []HostName   // further lines of /etc/hosts
	GSO        GSO          // GSOAuto unless given
	Kernel     bool         // a network namespace of the machine's kernel, which the lab makes
	TAPs       []TAP        // devices of the kernel that are plugged in

	Frontends []Frontend // the ports of a balancer; nil: the host is none

	NoUserlandProxy bool // published ports are left to netfilter alone, as with dockerd --userland-proxy=false

	gatewayPos Pos
	balancer   bool // the file calls it one
}

// Link says how a cable behaves. Between two switches it also makes the cable;
// elsewhere the cable exists because a host or router names its other end.
type Link struct {
	Pos     Pos
	Between [2]Ref
	MTU     int        // 1500 unless given
	VNI     int        // of a cable that leads to another process; 0: it follows from the names of its ends
	Forward Impairment // from Between[0] to Between[1]
	Reverse Impairment // from Between[1] to Between[0]
	Flap    Flap
}

// Flap is a cable that goes down by itself: in each time of Every for Down, at
// its end. The zero value does not.
type Flap struct{ Down, Every time.Duration }

// Impairment is what one direction of a cable does to frames. The zero value
// is a perfect cable.
type Impairment struct {
	Delay     time.Duration
	Jitter    time.Duration
	Overtake  bool    // jitter may reorder
	Loss      float64 // each share is 0 to 1
	Burst     Burst
	Duplicate float64
	Reorder   float64
	Corrupt   float64
	Rate      uint64 // bits per second; 0: no limit
	Queue     int    // frames that wait for the rate; 0: 1000
	Down      bool
	MTU       int // of a step: longer packets are lost, and the ends are not told; 0: all pass. A cable of the fabric has Link.MTU
}

// Burst is loss after Gilbert and Elliott: the cable turns bad with share P of
// the frames and good again with share R, and loses Good and Bad of the frames
// meanwhile. The zero value loses nothing; a Bad of 0 loses all.
type Burst struct{ P, R, Good, Bad float64 }

// GSO says whether TCP on a host and its containers hands over trains of
// segments, as with segmentation offload.
type GSO string

// The choices of GSO. Auto is off where a cable loses, corrupts, duplicates or
// reorders frames or is slow, for TCP then does better.
const (
	GSOAuto GSO = "auto"
	GSOOn   GSO = "on"
	GSOOff  GSO = "off"
)

// Swarm is a cluster of engines. The first manager initialises it.
type Swarm struct {
	Pos      Pos
	Managers []Ref
	Workers  []Ref
	// KeyRotation is how often the keys of encrypted overlays rotate; zero: every 12 hours.
	KeyRotation time.Duration
}

// Driver is the name of a Docker network driver.
type Driver string

// The drivers that every engine has. A network may also name a plug-in.
const (
	DriverBridge  Driver = "bridge"
	DriverOverlay Driver = "overlay"
	DriverMacvlan Driver = "macvlan"
	DriverIPVlan  Driver = "ipvlan"
	DriverHost    Driver = "host"
	DriverNull    Driver = "null"
)

// OnParent tells whether containers on networks of this driver stand on top of an interface of their host.
func (d Driver) OnParent() bool { return d == DriverMacvlan || d == DriverIPVlan }

// Local tells whether networks of this driver belong to single hosts.
func (d Driver) Local() bool { return d != DriverOverlay }

// Network is a Docker network.
type Network struct {
	Pos        Pos
	Name       string
	Driver     Driver
	Subnet     netip.Prefix // zero: the next default pool
	Gateway    netip.Addr   // zero: the first usable address
	IPRange    netip.Prefix // zero: the whole subnet
	Parent     string       // macvlan and ipvlan: the host's interface, as eth0, or eth0.10 for its VLAN 10; empty: none
	Mode       string       // macvlan and ipvlan: bridge or another, l2 or another; empty: the driver's own choice
	IPAM       IPAM
	Internal   bool
	Attachable bool
	Options    []Setting
	Labels     []Setting
	Hosts      []Ref // where a local network is created; empty for an overlay

	driverPos, subnetPos, gatewayPos, ipRangePos, parentPos, modePos Pos
}

// IPAM says who gives a network its addresses. The zero value is the engine's own address driver.
type IPAM struct {
	Pos     Pos
	Driver  string    // a plug-in, or empty or "default": the engine's own
	Options []Setting // for the driver

	driverPos Pos
}

// Port is a published port.
type Port struct {
	Pos       Pos
	HostIP    netip.Addr // zero: every address
	Published uint16     // 0: the engine chooses
	Target    uint16
	Protocol  string // tcp or udp
	Mode      string // ingress or host; means something for services only
}

// Service modes and endpoint modes.
const (
	ModeReplicated = "replicated"
	ModeGlobal     = "global"
	EndpointVIP    = "vip"
	EndpointDNSRR  = "dnsrr"
	PublishIngress = "ingress"
	PublishHost    = "host"
)

// Service is a Swarm service.
type Service struct {
	Pos          Pos
	Name         string
	Image        string
	Networks     []Ref
	Ports        []Port
	Environment  []Setting
	Mode         string
	Replicas     int // of a replicated service
	EndpointMode string
	Constraints  []Constraint
	Command      []string
	Hostname     string
	Labels       []Setting
}

// Constraint limits the nodes a service may run on: "node.role==worker".
type Constraint struct {
	Pos   Pos
	Key   string // node.role, node.hostname, node.labels.zone ...
	Not   bool   // != instead of ==
	Value string
}

// String returns the constraint as docker service create takes it.
func (c Constraint) String() string {
	if c.Not {
		return c.Key + "!=" + c.Value
	}
	return c.Key + "==" + c.Value
}

// Container is what docker run starts on one host.
type Container struct {
	Pos         Pos
	Name        string
	Host        Ref
	Image       string
	Command     []string
	Networks    []Endpoint // at least one; joined in this order
	Ports       []Port
	Environment []Setting
	Hostname    string
	DNS         []netip.Addr
	ExtraHosts  []HostName
	Labels      []Setting
}

// Endpoint is a container's place on a network.
type Endpoint struct {
	Pos     Pos
	Network string
	IP      netip.Addr // zero: the network chooses
	Aliases []string

	ipPos Pos
}
