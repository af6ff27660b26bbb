package api

import (
	"cmp"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// containerCreate answers docker create, and the first request of docker run.
func (c *call) containerCreate() error {
	var req container.CreateRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	if req.Config == nil {
		return invalid("config cannot be empty in order to create a container")
	}
	if req.HostConfig == nil {
		req.HostConfig = &container.HostConfig{}
	}
	if req.NetworkingConfig == nil {
		req.NetworkingConfig = &network.NetworkingConfig{}
	}
	c.adapt(&req)
	if names := slices.Sorted(maps.Keys(req.NetworkingConfig.EndpointsConfig)); c.version < version144 && len(names) > 1 {
		return invalid("Container cannot be created with multiple network endpoints: %s", strings.Join(names, ", "))
	}
	cfg, err := containerConfig(&req)
	if err != nil {
		return err
	}
	cfg.Name = strings.TrimPrefix(c.query.Get("name"), "/")
	ctr, err := c.s.engine.Create(cfg)
	if err != nil {
		return err
	}
	warnings := append([]string{}, ctr.Warnings()...)
	if c.version >= version144 && !cfg.MAC.IsZero() {
		warnings = append(warnings, "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.")
	}
	return c.json(http.StatusCreated, container.CreateResponse{ID: ctr.ID(), Warnings: warnings})
}

// adapt takes away what the version of the request did not have.
func (c *call) adapt(req *container.CreateRequest) {
	for _, ep := range req.NetworkingConfig.EndpointsConfig {
		if ep == nil {
			continue
		}
		if c.version < version144 {
			ep.MacAddress = ""
		}
		if c.version < version148 {
			ep.GwPriority = 0
		}
	}
	if c.version < version142 {
		req.HostConfig.ConsoleSize = [2]uint{}
	}
}

// containerConfig returns a container as the engine takes it. What the engine has no use for stays in Origin.
func containerConfig(req *container.CreateRequest) (engine.ContainerConfig, error) {
	in, host := req.Config, req.HostConfig
	cfg := engine.ContainerConfig{
		Image: in.Image, Pull: engine.PullNever, Entrypoint: in.Entrypoint, Command: in.Cmd, Env: in.Env, Labels: in.Labels,
		Hostname: in.Hostname, Domainname: in.Domainname, User: in.User, WorkingDir: in.WorkingDir,
		TTY: in.Tty, OpenStdin: in.OpenStdin, StdinOnce: in.StdinOnce,
		AttachStdin: in.AttachStdin, AttachStdout: in.AttachStdout, AttachStderr: in.AttachStderr,
		ConsoleSize: consoleSize(&host.ConsoleSize), StopSignal: in.StopSignal, Healthcheck: healthcheck(in.Healthcheck),
		ExposedPorts: portNames(in.ExposedPorts), PublishAll: host.PublishAllPorts, NetworkMode: string(host.NetworkMode),
		DNSSearch: host.DNSSearch, DNSOptions: host.DNSOptions, ExtraHosts: host.ExtraHosts, Links: host.Links,
		RestartPolicy: engine.RestartPolicy{
			Name: string(host.RestartPolicy.Name), MaximumRetryCount: host.RestartPolicy.MaximumRetryCount,
		},
		AutoRemove: host.AutoRemove, Init: host.Init != nil && *host.Init, Resources: resources(&host.Resources),
		Privileged: host.Privileged, ReadonlyRootfs: host.ReadonlyRootfs, CapAdd: host.CapAdd, CapDrop: host.CapDrop,
		SecurityOpt: host.SecurityOpt, Binds: host.Binds, VolumesFrom: host.VolumesFrom, Devices: devices(host),
		Mounts: mounts(host), Volumes: slices.Sorted(maps.Keys(in.Volumes)),
		PIDMode: string(host.PidMode), IPCMode: string(host.IpcMode), UTSMode: string(host.UTSMode),
		UsernsMode: string(host.UsernsMode), CgroupnsMode: string(host.CgroupnsMode), Origin: host,
	}
	if in.StopTimeout != nil {
		d := time.Duration(*in.StopTimeout) * time.Second
		cfg.StopTimeout = &d
	}
	var err error
	//lint:ignore SA1019 clients before 1.44 set it
	if cfg.MAC, err = parseMAC(in.MacAddress); err != nil {
		return cfg, err
	}
	for _, text := range host.DNS {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return cfg, invalid("invalid DNS server %q: %v", text, err)
		}
		cfg.DNS = append(cfg.DNS, a)
	}
	if cfg.Ports, err = portBindings(host.PortBindings); err != nil {
		return cfg, err
	}
	cfg.Networks, err = endpointConfigs(req.NetworkingConfig.EndpointsConfig, string(host.NetworkMode))
	return cfg, err
}

func consoleSize(hw *[2]uint) engine.Size {
	if hw == nil {
		return engine.Size{}
	}
	return engine.Size{Rows: uint16(min(hw[0], 65535)), Cols: uint16(min(hw[1], 65535))}
}

func healthcheck(h *container.HealthConfig) *engine.Healthcheck {
	if h == nil {
		return nil
	}
	return &engine.Healthcheck{
		Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
	}
}

func resources(r *container.Resources) engine.Resources {
	out := engine.Resources{
		Memory: r.Memory, MemoryReservation: r.MemoryReservation, MemorySwap: r.MemorySwap, NanoCPUs: r.NanoCPUs,
		CPUShares: r.CPUShares, CPUPeriod: r.CPUPeriod, CPUQuota: r.CPUQuota, CPUSetCPUs: r.CpusetCpus, CPUSetMems: r.CpusetMems,
	}
	if r.PidsLimit != nil {
		out.PidsLimit = *r.PidsLimit
	}
	return out
}

// devices are all ways in which a container asks for the machine's devices; the engine refuses them.
func devices(host *container.HostConfig) []string {
	var all []string
	for _, d := range host.Devices {
		all = append(all, d.PathOnHost)
	}
	for _, r := range host.DeviceRequests {
		all = append(all, cmp.Or(r.Driver, "gpus"))
	}
	return all
}

func mounts(host *container.HostConfig) []engine.Mount {
	var all []engine.Mount
	for _, m := range host.Mounts {
		all = append(all, engine.Mount{Type: string(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	for _, target := range slices.Sorted(maps.Keys(host.Tmpfs)) {
		all = append(all, engine.Mount{Type: string(mount.TypeTmpfs), Target: target})
	}
	return all
}

func portNames(set nat.PortSet) []string {
	var all []string
	for p := range set {
		all = append(all, string(p))
	}
	slices.Sort(all)
	return all
}

// portBindings returns the published ports in the order of the container's, in which those of the host are given.
func portBindings(all nat.PortMap) ([]cnm.PortBinding, error) {
	var out []cnm.PortBinding
	for port, bindings := range all {
		for _, b := range bindings {
			p, err := engine.ParsePortBinding(string(port), b.HostIP, b.HostPort)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b cnm.PortBinding) int {
		return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Proto, b.Proto))
	})
	return out, nil
}

// endpointConfigs returns the networks of a container: the one of its network mode first, the others by name.
func endpointConfigs(all map[string]*network.EndpointSettings, mode string) ([]cnm.EndpointConfig, error) {
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		switch {
		case a == mode:
			return -1
		case b == mode:
			return 1
		}
		return cmp.Compare(a, b)
	})
	var out []cnm.EndpointConfig
	for _, name := range names {
		ep, err := endpointConfig(name, all[name])
		if err != nil {
			return nil, err
		}
		out = append(out, ep)
	}
	return out, nil
}

// endpointConfig returns how a container is to be on a network; ep may be nil.
func endpointConfig(name string, ep *network.EndpointSettings) (cnm.EndpointConfig, error) {
	out := cnm.EndpointConfig{Network: name}
	if ep == nil {
		return out, nil
	}
	out.Aliases, out.Links, out.DriverOpts, out.GwPriority = ep.Aliases, ep.Links, ep.DriverOpts, ep.GwPriority
	var err error
	if out.MAC, err = parseMAC(ep.MacAddress); err != nil {
		return out, err
	}
	if ep.IPAMConfig == nil {
		return out, nil
	}
	if text := ep.IPAMConfig.IPv4Address; text != "" {
		if out.IP, err = netip.ParseAddr(text); err != nil || !out.IP.Is4() {
			return out, invalid("invalid endpoint settings:\ninvalid IPv4 address: %s", text)
		}
	}
	if text := ep.IPAMConfig.IPv6Address; text != "" {
		return out, invalid("invalid endpoint settings:\ninvalid IPv6 address: %s: there is no IPv6 on this host", text)
	}
	return out, nil
}

func parseMAC(text string) (wire.MAC, error) {
	if text == "" {
		return wire.MAC{}, nil
	}
	mac, err := wire.ParseMAC(text)
	if err != nil {
		return mac, invalid("invalid MAC address: %s", text)
	}
	return mac, nil
}
