package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/system"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/image"
)

// What every simulated host says of itself.
const (
	kernelVersion = "4.4.0-45-generic" // as uname in containers has it
	platformName  = "netsim (simulated engine)"
	memTotal      = 4 << 30
	simulated     = "WARNING: this engine is simulated by netsim: containers are programs of the lab, and touch nothing on this machine"
)

// ping answers the first request of every docker command.
func (c *call) ping() error {
	h := c.w.Header()
	h.Set("Builder-Version", "1")
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Swarm", c.s.swarm().status())
	if c.r.Method == http.MethodHead {
		h.Set("Content-Length", "0")
		return c.status(http.StatusOK)
	}
	c.started = true
	_, _ = c.w.Write([]byte("OK")) // the client may have left
	return nil
}

// status is how the header Swarm has it.
func (i SwarmInfo) status() string {
	switch {
	case !i.Active:
		return "inactive"
	case i.Manager:
		return "active/manager"
	}
	return "active/worker"
}

// versionInfo answers docker version.
func (c *call) versionInfo() error {
	v := types.Version{
		Version: EngineVersion, APIVersion: Version, MinAPIVersion: MinVersion, GitCommit: "netsim", GoVersion: runtime.Version(),
		Os: "linux", Arch: runtime.GOARCH, KernelVersion: kernelVersion, BuildTime: "",
	}
	v.Platform.Name = platformName
	v.Components = []types.ComponentVersion{{Name: "Engine", Version: EngineVersion, Details: map[string]string{
		"ApiVersion": Version, "MinAPIVersion": MinVersion, "GitCommit": "netsim", "GoVersion": runtime.Version(), "Os": "linux",
		"Arch": runtime.GOARCH, "KernelVersion": kernelVersion, "BuildTime": "", "Experimental": "false",
	}}}
	return c.json(http.StatusOK, v)
}

// info answers docker info.
func (c *call) info() error {
	s := c.s
	i := system.Info{
		ID: machineID(s.engine.Name()), Name: s.engine.Name(), Images: len(image.All()), Driver: "netsim", DriverStatus: [][2]string{},
		Plugins: system.PluginsInfo{
			Volume: []string{"local"}, Network: s.networkDrivers(), Log: []string{"json-file"},
		},
		IPv4Forwarding: true, LoggingDriver: "json-file", CgroupDriver: "none", SystemTime: time.Now().Format(time.RFC3339Nano),
		KernelVersion: kernelVersion, OperatingSystem: "netsim", OSType: "linux", Architecture: architecture(),
		IndexServerAddress: "https://index.docker.io/v1/",
		RegistryConfig: &registry.ServiceConfig{
			InsecureRegistryCIDRs: []*registry.NetIPNet{}, IndexConfigs: map[string]*registry.IndexInfo{}, Mirrors: []string{},
		},
		NCPU: runtime.NumCPU(), MemTotal: memTotal, DockerRootDir: "/var/lib/docker", Labels: []string{}, ServerVersion: EngineVersion,
		Runtimes: map[string]system.RuntimeWithStatus{"runc": {Runtime: system.Runtime{Path: "runc"}}}, DefaultRuntime: "runc",
		Swarm: s.swarm().info(), InitBinary: "docker-init", SecurityOptions: []string{}, CDISpecDirs: []string{},
		Warnings: []string{simulated},
	}
	for _, ctr := range s.engine.Containers() {
		i.Containers++
		switch ctr.State() {
		case engine.Running:
			i.ContainersRunning++
		default:
			i.ContainersStopped++
		}
	}
	return c.json(http.StatusOK, i)
}

// networkDrivers are the drivers as docker info lists them (F10).
func (s *Server) networkDrivers() []string {
	if s.cfg.Modern {
		return []string{"bridge", "host", "ipvlan", "macvlan", "null", "overlay"}
	}
	all := []string{"bridge", "host", "null", "overlay"}
	for _, n := range s.engine.Controller().Networks() {
		if !slices.Contains(all, n.Driver()) {
			all = append(all, n.Driver())
		}
	}
	slices.Sort(all)
	return all
}

func (i SwarmInfo) info() swarm.Info {
	out := swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive}
	if !i.Active {
		return out
	}
	out = swarm.Info{
		NodeID: i.NodeID, NodeAddr: i.NodeAddr, LocalNodeState: swarm.LocalNodeStateActive, ControlAvailable: i.Manager,
	}
	for _, p := range i.RemoteManagers {
		out.RemoteManagers = append(out.RemoteManagers, swarm.Peer{NodeID: p.NodeID, Addr: p.Addr})
	}
	if i.Manager {
		out.Nodes, out.Managers = i.Nodes, i.Managers
		out.Cluster = &swarm.ClusterInfo{ID: i.ClusterID}
	}
	return out
}

// auth answers docker login: every registry of a lab is open.
func (c *call) auth() error {
	var cfg registry.AuthConfig
	if err := c.decode(&cfg); err != nil {
		return err
	}
	return c.json(http.StatusOK, registry.AuthenticateOKBody{Status: "Login Succeeded"})
}

// machineID makes the id of an engine, which is a UUID that its name gives.
func machineID(name string) string {
	sum := sha256.Sum256([]byte("engine " + name))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// architecture is the machine as uname has it.
func architecture() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}
