package engine

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// ContainerInfo is a container at one moment.
type ContainerInfo struct {
	ID, Name     string // the name without a slash
	Created      time.Time
	Config       ContainerConfig // with what was changed since, the network mode never empty
	Args         []string        // the command line, the program first
	Hostname     string
	Env          []string     // of the image and the user
	ExposedPorts []string     // of the image and the user, and what is published: 80/tcp
	Healthcheck  *Healthcheck // nil: none
	Image        string       // as the user wrote it
	ImageID      string       // sha256:<64 hex digits>
	ImageRef     string       // nginx:latest
	State        StateInfo
	RestartCount int
	Mounts       []Mount
	ExecIDs      []string // that run
	Network      NetworkInfo
	LogSize      int64 // bytes of output that are kept
}

// StateInfo is the state of a container at one moment.
type StateInfo struct {
	Status                      State
	Running, Paused, Restarting bool // one that is paused or restarting is running, as Docker has it
	PID, ExitCode               int
	Error                       string // why it did not start
	StartedAt, FinishedAt       time.Time
	Health                      *Health // nil: it has no health check
}

// NetworkInfo is where a container is on its networks at one moment.
type NetworkInfo struct {
	SandboxID string // empty unless it runs
	Mode      string
	Ports     []cnm.PortBinding // published at the moment
	Networks  []EndpointInfo    // by name; of one that does not run, those that it will join
}

// EndpointInfo is a container's place on a network. Of one that does not run only Network, NetworkID and Config are set.
type EndpointInfo struct {
	Network, NetworkID, EndpointID, Interface string
	IP                                        netip.Prefix
	Gateway                                   netip.Addr
	MAC                                       wire.MAC
	DNSNames                                  []string // by which others on the network find it; nil: there are none
	Config                                    cnm.EndpointConfig
}

// Inspect returns the container as it is at the moment.
func (c *Container) Inspect() ContainerInfo {
	health := c.Health()
	exposed := c.exposed()
	c.mu.Lock()
	defer c.mu.Unlock()
	cfg := c.cfg.clone()
	cfg.Name, cfg.Networks, cfg.RestartPolicy, cfg.Resources = c.name, slices.Clone(c.endpoints), c.policy, c.resources
	info := ContainerInfo{
		ID: c.id, Name: c.name, Created: c.created, Config: cfg, Args: slices.Clone(c.argv), Hostname: c.Hostname(),
		Env: override(slices.Clone(c.image.Env), c.cfg.Env), ExposedPorts: exposed, Image: c.cfg.Image, ImageID: "sha256:" + c.image.ID,
		ImageRef: c.image.Ref(), RestartCount: c.restarts, Mounts: c.mounts(), LogSize: c.log.bytes(),
		State: StateInfo{
			Status: c.state, Running: c.run != nil || c.state == Restarting, Paused: c.state == Paused, Restarting: c.state == Restarting,
			PID: c.pid, ExitCode: c.exitCode, Error: c.failure, StartedAt: c.started, FinishedAt: c.finished, Health: health,
		},
		Network: NetworkInfo{Mode: c.cfg.NetworkMode},
	}
	if c.health != nil {
		check := c.health.check
		info.Healthcheck = &check
	}
	if c.run != nil {
		for _, p := range c.run.all() {
			if p.exec != "" {
				info.ExecIDs = append(info.ExecIDs, p.exec)
			}
		}
	}
	c.inspectNetworks(&info.Network)
	return info
}

// inspectNetworks fills in where the container is; the caller holds mu.
func (c *Container) inspectNetworks(info *NetworkInfo) {
	if c.run != nil && c.run.shared != nil {
		return // it has none of its own
	}
	for _, cfg := range c.endpoints {
		ep := EndpointInfo{Network: cfg.Network, Config: cfg}
		if n, err := c.engine.Network(cfg.Network); err == nil {
			ep.Network, ep.NetworkID = n.Name(), n.ID()
		}
		info.Networks = append(info.Networks, ep)
	}
	if c.run != nil {
		info.SandboxID, info.Ports = c.run.sandbox.ID(), c.run.sandbox.Ports()
		for _, ep := range c.run.sandbox.Endpoints() {
			info.add(ep)
		}
	}
	slices.SortFunc(info.Networks, func(a, b EndpointInfo) int { return cmp.Compare(a.Network, b.Network) })
}

// add fills in an endpoint that has joined, that of docker_gwbridge too, which nobody asked for.
func (info *NetworkInfo) add(ep *cnm.Endpoint) {
	n := ep.Network()
	at := slices.IndexFunc(info.Networks, func(e EndpointInfo) bool { return e.NetworkID == n.ID() })
	if at < 0 {
		return // docker_gwbridge, which inspect does not show
	}
	e := &info.Networks[at]
	e.EndpointID, e.Interface, e.IP, e.Gateway, e.MAC = ep.ID(), ep.Name(), ep.Prefix(), ep.Gateway(), ep.MAC()
	if n.UserDefined() {
		e.DNSNames = ep.Names()
	}
}

// mounts returns the container's mounts, which keep nothing.
func (c *Container) mounts() []Mount {
	all := slices.Clone(c.cfg.Mounts)
	for _, target := range c.cfg.Volumes {
		all = append(all, Mount{Type: "volume", Target: target})
	}
	for _, b := range c.cfg.Binds {
		all = append(all, parseBind(b))
	}
	return all
}

// Rename gives the container another name. The error wraps ErrConflict where it is taken.
func (c *Container) Rename(name string) error {
	c.life.Lock()
	defer c.life.Unlock()
	if c.isRemoved() {
		return errNoContainer(c.id)
	}
	old := c.Name()
	switch {
	case name == "":
		return fail(ErrInvalid, "Neither old nor new names may be empty")
	case name == old || name == "/"+old:
		return fail(ErrInvalid, "Renaming a container with the same name as its current name")
	}
	if err := c.engine.rename(c, name); err != nil {
		return err
	}
	if r := c.current(); r != nil && r.shared == nil {
		r.sandbox.Rename(c.Name())
	}
	c.event("rename", map[string]string{"oldName": "/" + old})
	return nil
}

func (c *Container) isRemoved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removed
}

// UpdateConfig says what Update is to change; nil: nothing.
type UpdateConfig struct {
	RestartPolicy *RestartPolicy
	Resources     *Resources
}

// Update changes a container. The error wraps ErrInvalid.
func (c *Container) Update(cfg UpdateConfig) error {
	if p := cfg.RestartPolicy; p != nil {
		if c.cfg.AutoRemove && p.Name != "" && p.Name != "no" {
			return fail(ErrInvalid, "Restart policy cannot be updated because AutoRemove is enabled for the container")
		}
		if err := checkPolicy(&ContainerConfig{RestartPolicy: *p}); err != nil {
			return err
		}
	}
	c.mu.Lock()
	if c.removed {
		c.mu.Unlock()
		return errNoContainer(c.id)
	}
	if cfg.RestartPolicy != nil {
		c.policy = *cfg.RestartPolicy
	}
	if cfg.Resources != nil {
		c.resources = *cfg.Resources
	}
	c.mu.Unlock()
	c.event("update", nil)
	return nil
}
