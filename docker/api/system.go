package api

import (
	"net/http"
	"runtime"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"
)

// What every simulated host says of itself.
const (
	kernelVersion = "4.4.0-45-generic" // as uname in containers has it
	platformName  = "netsim (simulated engine)"
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

// versionInfo answers docker version.
func (c *call) versionInfo() error {
	is := c.s.cfg.Release
	v := types.Version{
		Version: is.Engine, APIVersion: is.Version, MinAPIVersion: MinVersion, GitCommit: "netsim", GoVersion: runtime.Version(),
		Os: "linux", Arch: runtime.GOARCH, KernelVersion: kernelVersion, BuildTime: "",
	}
	v.Platform.Name = platformName
	v.Components = []types.ComponentVersion{{Name: "Engine", Version: is.Engine, Details: map[string]string{
		"ApiVersion": is.Version, "MinAPIVersion": MinVersion, "GitCommit": "netsim", "GoVersion": runtime.Version(), "Os": "linux",
		"Arch": runtime.GOARCH, "KernelVersion": kernelVersion, "BuildTime": "", "Experimental": "false",
	}}}
	return c.json(http.StatusOK, v)
}

// info answers docker info.
func (c *call) info() error {
	s := c.s
	e := s.engine.Info()
	i := system.Info{
		ID: machineID(e.ID), Name: e.Name, Images: e.Images, Containers: e.Containers, ContainersRunning: e.Running,
		ContainersPaused: e.Paused, ContainersStopped: e.Stopped, NEventsListener: e.EventsSubscribers, Driver: "netsim", DriverStatus: [][2]string{},
		Plugins: system.PluginsInfo{
			Volume: []string{"local"}, Network: e.NetworkDrivers, Log: []string{"json-file"},
		},
		IPv4Forwarding: true, LoggingDriver: "json-file", CgroupDriver: "none", SystemTime: time.Now().Format(time.RFC3339Nano),
		KernelVersion: kernelVersion, OperatingSystem: "netsim", OSType: "linux", Architecture: architecture(),
		IndexServerAddress: "https://index.docker.io/v1/",
		RegistryConfig: &registry.ServiceConfig{
			InsecureRegistryCIDRs: []*registry.NetIPNet{}, IndexConfigs: map[string]*registry.IndexInfo{}, Mirrors: []string{},
		},
		NCPU: e.CPUs, MemTotal: e.Memory, DockerRootDir: "/var/lib/docker", Labels: []string{}, ServerVersion: s.cfg.Release.Engine,
		Runtimes: map[string]system.RuntimeWithStatus{"runc": {Runtime: system.Runtime{Path: "runc"}}}, DefaultRuntime: "runc",
		Swarm: c.swarmInfo(), InitBinary: "docker-init", SecurityOptions: []string{}, CDISpecDirs: []string{},
		Warnings: []string{simulated},
	}
	return c.json(http.StatusOK, i)
}

// diskUsage answers docker system df.
func (c *call) diskUsage() error {
	v := types.DiskUsage{
		Images: []*image.Summary{}, Containers: []*container.Summary{}, Volumes: []*volume.Volume{}, BuildCache: []*build.CacheRecord{},
	}
	for _, im := range c.s.engine.Images() {
		summary := imageSummary(im)
		summary.SharedSize = 0
		v.LayersSize += im.Size
		v.Images = append(v.Images, &summary)
	}
	for _, ctr := range c.s.engine.Containers() {
		info := ctr.Inspect()
		summary := c.s.summary(&info, true)
		v.Containers = append(v.Containers, &summary)
	}
	return c.json(http.StatusOK, v)
}

// auth answers docker login: every registry of a lab is open.
func (c *call) auth() error {
	var cfg registry.AuthConfig
	if err := c.decode(&cfg); err != nil {
		return err
	}
	return c.json(http.StatusOK, registry.AuthenticateOKBody{Status: "Login Succeeded"})
}

// machineID makes a UUID of the id of an engine.
func machineID(id string) string {
	h := id[:32]
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
