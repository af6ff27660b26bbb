package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/storage"
	"github.com/docker/docker/api/types/strslice"
	"github.com/docker/go-connections/nat"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/image"
)

// inspectedContainer is a container in the order of keys of API 1.50, which the docker command prints as it comes.
type inspectedContainer struct {
	ID              string `json:"Id"`
	Created         string
	Path            string
	Args            []string
	State           *container.State
	Image           string
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	MountLabel      string
	ProcessLabel    string
	AppArmorProfile string
	ExecIDs         []string
	HostConfig      *container.HostConfig
	GraphDriver     storage.DriverData
	SizeRw          *int64 `json:",omitempty"`
	SizeRootFs      *int64 `json:",omitempty"`
	Mounts          []container.MountPoint
	Config          *container.Config
	NetworkSettings *networkSettings
}

// networkSettings is what a container's inspect says of its networks. The fields behind SecondaryIPv6Addresses repeat
// what is said of the network bridge.
type networkSettings struct {
	Bridge                 string
	SandboxID              string
	SandboxKey             string
	Ports                  nat.PortMap
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	SecondaryIPAddresses   []network.Address
	SecondaryIPv6Addresses []network.Address
	EndpointID             string
	Gateway                string
	GlobalIPv6Address      string
	GlobalIPv6PrefixLen    int
	IPAddress              string
	IPPrefixLen            int
	IPv6Gateway            string
	MacAddress             string
	Networks               map[string]*network.EndpointSettings
}

// containerInspect answers docker inspect.
func (c *call) containerInspect() error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	info := ctr.Inspect()
	v := c.s.inspectContainer(&info)
	imageCommand(v.Config, ctr.Image())
	if c.bool("size") {
		size := c.s.imageSize(info.ImageID)
		v.SizeRw, v.SizeRootFs = new(int64), &size
	}
	return c.json(http.StatusOK, v)
}

// imageCommand fills in what a container takes from its image where the user gave nothing.
func imageCommand(cfg *container.Config, im *image.Image) {
	if len(cfg.Entrypoint) > 0 {
		return
	}
	if len(cfg.Cmd) == 0 {
		cfg.Cmd = strslice.StrSlice(im.Cmd)
	}
	if cfg.Entrypoint == nil {
		cfg.Entrypoint = strslice.StrSlice(im.Entrypoint)
	}
}

func (s *Server) inspectContainer(info *engine.ContainerInfo) *inspectedContainer {
	files := "/var/lib/docker/containers/" + info.ID
	return &inspectedContainer{
		ID: info.ID, Created: stamp(info.Created), Path: info.Args[0], Args: orEmpty(info.Args[1:]), State: inspectedState(info),
		Image: info.ImageID, ResolvConfPath: files + "/resolv.conf", HostnamePath: files + "/hostname", HostsPath: files + "/hosts",
		LogPath: files + "/" + info.ID + "-json.log", Name: "/" + info.Name, RestartCount: info.RestartCount, Driver: "netsim",
		Platform: "linux", ExecIDs: info.ExecIDs, HostConfig: hostConfig(&info.Config), GraphDriver: storage.DriverData{Name: "netsim"},
		Mounts: []container.MountPoint{}, Config: wireConfig(info), NetworkSettings: s.networkSettings(info),
	}
}

// stamp is a time as inspects have it.
func stamp(t time.Time) string {
	return t.UTC().Format(time.RFC3339Nano)
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func inspectedState(info *engine.ContainerInfo) *container.State {
	st := info.State
	v := &container.State{
		Status: st.Status.String(), Running: st.Running, Paused: st.Paused, Restarting: st.Restarting,
		Dead: st.Status == engine.Dead, Pid: st.PID, ExitCode: st.ExitCode, Error: st.Error,
		StartedAt: stamp(st.StartedAt), FinishedAt: stamp(st.FinishedAt),
	}
	if h := st.Health; h != nil {
		v.Health = &container.Health{Status: string(h.Status), FailingStreak: h.FailingStreak, Log: []*container.HealthcheckResult{}}
		for _, r := range h.Log {
			v.Health.Log = append(v.Health.Log, &container.HealthcheckResult{Start: r.Start, End: r.End, ExitCode: r.ExitCode, Output: r.Output})
		}
	}
	return v
}

// wireConfig is the part of a container's inspect that is not of the host.
func wireConfig(info *engine.ContainerInfo) *container.Config {
	cfg := &info.Config
	v := &container.Config{
		Hostname: info.Hostname, Domainname: cfg.Domainname, User: cfg.User, AttachStdin: cfg.AttachStdin, AttachStdout: cfg.AttachStdout,
		AttachStderr: cfg.AttachStderr, Tty: cfg.TTY, OpenStdin: cfg.OpenStdin, StdinOnce: cfg.StdinOnce, Env: info.Env,
		Cmd: strslice.StrSlice(cfg.Command), Image: cfg.Image, WorkingDir: cfg.WorkingDir, Entrypoint: strslice.StrSlice(cfg.Entrypoint),
		Labels: labels(cfg.Labels), StopSignal: cfg.StopSignal,
	}
	for _, name := range cfg.Volumes {
		if v.Volumes == nil {
			v.Volumes = map[string]struct{}{}
		}
		v.Volumes[name] = struct{}{}
	}
	for _, name := range info.ExposedPorts {
		if v.ExposedPorts == nil {
			v.ExposedPorts = nat.PortSet{}
		}
		v.ExposedPorts[nat.Port(name)] = struct{}{}
	}
	if cfg.StopTimeout != nil {
		seconds := int(*cfg.StopTimeout / time.Second)
		v.StopTimeout = &seconds
	}
	if h := info.Healthcheck; h != nil {
		v.Healthcheck = &container.HealthConfig{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
	}
	return v
}

const shmSize = 64 << 20 // Docker's

// Paths that Docker hides from, or write-protects in, containers.
var (
	maskedPaths = []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// hostConfig is the host's part of a container's inspect: what the client gave, with the engine's defaults; or, for a
// container that no client made, what its configuration says.
func hostConfig(cfg *engine.ContainerConfig) *container.HostConfig {
	var v container.HostConfig
	if given, ok := cfg.Origin.(*container.HostConfig); ok {
		v = *given
	} else {
		v = container.HostConfig{PortBindings: nat.PortMap{}, AutoRemove: cfg.AutoRemove, DNSOptions: orEmpty(cfg.DNSOptions), DNSSearch: orEmpty(cfg.DNSSearch)}
		for _, a := range cfg.DNS {
			v.DNS = append(v.DNS, a.String())
		}
		v.DNS, v.ExtraHosts, v.PublishAllPorts = orEmpty(v.DNS), cfg.ExtraHosts, cfg.PublishAll
		for _, p := range cfg.Ports {
			key := nat.Port(fmt.Sprintf("%d/%s", p.ContainerPort, cmp.Or(p.Proto, "tcp")))
			b := nat.PortBinding{HostPort: portText(p.HostPort)}
			if p.HostIP.IsValid() {
				b.HostIP = p.HostIP.String()
			}
			v.PortBindings[key] = append(v.PortBindings[key], b)
		}
	}
	v.NetworkMode = container.NetworkMode(cfg.NetworkMode)
	v.RestartPolicy = container.RestartPolicy{
		Name: container.RestartPolicyMode(cmp.Or(cfg.RestartPolicy.Name, "no")), MaximumRetryCount: cfg.RestartPolicy.MaximumRetryCount,
	}
	v.Memory, v.NanoCPUs, v.CPUShares, v.MemorySwap = cfg.Resources.Memory, cfg.Resources.NanoCPUs, cfg.Resources.CPUShares, cfg.Resources.MemorySwap
	v.LogConfig.Type = cmp.Or(v.LogConfig.Type, "json-file")
	if v.LogConfig.Config == nil {
		v.LogConfig.Config = map[string]string{}
	}
	v.IpcMode, v.CgroupnsMode = cmp.Or(v.IpcMode, "private"), cmp.Or(v.CgroupnsMode, "private")
	v.Runtime, v.ShmSize = cmp.Or(v.Runtime, "runc"), cmp.Or(v.ShmSize, shmSize)
	v.MemorySwappiness, v.OomKillDisable = nil, nil
	if v.PidsLimit != nil && *v.PidsLimit <= 0 {
		v.PidsLimit = nil
	}
	if !v.Privileged {
		if v.MaskedPaths == nil {
			v.MaskedPaths = maskedPaths
		}
		if v.ReadonlyPaths == nil {
			v.ReadonlyPaths = readonlyPaths
		}
	}
	return &v
}

// sandboxKey is where Docker has the namespace of a container (I28).
func sandboxKey(info *engine.NetworkInfo) string {
	switch {
	case info.SandboxID == "":
		return ""
	case info.Mode == network.NetworkHost:
		return "/var/run/docker/netns/default"
	}
	return "/var/run/docker/netns/" + info.SandboxID[:12]
}

func portText(p uint16) string {
	if p == 0 {
		return ""
	}
	return fmt.Sprint(p)
}

// networkSettings is what a container's inspect says of its networks.
func (s *Server) networkSettings(info *engine.ContainerInfo) *networkSettings {
	v := &networkSettings{
		SandboxID: info.Network.SandboxID, SandboxKey: sandboxKey(&info.Network), Ports: s.portMap(info), Networks: map[string]*network.EndpointSettings{},
	}
	for _, ep := range info.Network.Networks {
		e := endpointSettings(&ep)
		v.Networks[ep.Network] = e
		if ep.Network == network.NetworkBridge {
			v.EndpointID, v.Gateway, v.IPAddress, v.IPPrefixLen, v.MacAddress = e.EndpointID, e.Gateway, e.IPAddress, e.IPPrefixLen, e.MacAddress
		}
	}
	return v
}

// portMap are the ports of a container, each with where it is published; null: nowhere.
func (s *Server) portMap(info *engine.ContainerInfo) nat.PortMap {
	all := nat.PortMap{}
	if !info.State.Running {
		return all
	}
	for _, name := range info.ExposedPorts {
		all[nat.Port(name)] = nil
	}
	for _, p := range info.Network.Ports {
		key := nat.Port(fmt.Sprintf("%d/%s", p.ContainerPort, cmp.Or(p.Proto, "tcp")))
		for _, ip := range s.hostIPs(p) {
			all[key] = append(all[key], nat.PortBinding{HostIP: ip, HostPort: portText(p.HostPort)})
		}
	}
	return all
}

// endpointSettings is a container's place on a network.
func endpointSettings(ep *engine.EndpointInfo) *network.EndpointSettings {
	cfg := &ep.Config
	v := &network.EndpointSettings{
		Links: cfg.Links, Aliases: cfg.Aliases, DriverOpts: cfg.DriverOpts, GwPriority: cfg.GwPriority,
		NetworkID: ep.NetworkID, EndpointID: ep.EndpointID, DNSNames: slices.Clone(ep.DNSNames),
	}
	if !ep.MAC.IsZero() {
		v.MacAddress = ep.MAC.String()
	}
	if cfg.IP.IsValid() {
		v.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: cfg.IP.String()}
	}
	if ep.IP.IsValid() {
		v.IPAddress, v.IPPrefixLen = ep.IP.Addr().String(), ep.IP.Bits()
	}
	if ep.Gateway.IsValid() {
		v.Gateway = ep.Gateway.String()
	}
	return v
}
