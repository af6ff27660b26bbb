package executor

import (
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"strings"
	"time"

	gogotypes "github.com/gogo/protobuf/types"
	"github.com/moby/swarmkit/v2/agent/exec"
	swarmapi "github.com/moby/swarmkit/v2/api"
	"github.com/moby/swarmkit/v2/api/naming"
	"github.com/moby/swarmkit/v2/template"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
)

// labelPrefix begins the labels that a swarm gives its containers; taskLabel is on each of them.
const (
	labelPrefix = "com.docker.swarm."
	taskLabel   = labelPrefix + "task"
)

// containerConfig returns the container of a task on a node of that description, with its templates filled in (S17).
func containerConfig(t *swarmapi.Task, node *swarmapi.NodeDescription, deps exec.DependencyGetter) (engine.ContainerConfig, error) {
	spec, err := template.ExpandContainerSpec(node, t)
	if err != nil {
		return engine.ContainerConfig{}, err
	}
	cfg := engine.ContainerConfig{
		Name: naming.Task(t), Image: spec.Image, Env: spec.Env, Labels: labels(t, spec), Hostname: spec.Hostname, User: spec.User,
		WorkingDir: spec.Dir, TTY: spec.TTY, OpenStdin: spec.OpenStdin, StopSignal: spec.StopSignal, Healthcheck: healthcheck(spec.Healthcheck), EarlyHealth: true,
		ReadonlyRootfs: spec.ReadOnly, CapAdd: spec.CapabilityAdd, CapDrop: spec.CapabilityDrop, Resources: resources(t, spec),
	}
	if spec.Init != nil {
		cfg.Init = spec.Init.Value
	}
	if len(spec.Command) > 0 {
		cfg.Entrypoint, cfg.Command = spec.Command, append([]string{}, spec.Args...)
	} else if len(spec.Args) > 0 {
		cfg.Command = spec.Args
	}
	if spec.StopGracePeriod != nil {
		grace := duration(spec.StopGracePeriod)
		cfg.StopTimeout = &grace
	}
	for _, m := range spec.Mounts {
		cfg.Mounts = append(cfg.Mounts, engine.Mount{Type: strings.ToLower(m.Type.String()), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	if err := hosts(&cfg, spec); err != nil {
		return cfg, err
	}
	if err := endpoints(&cfg, t); err != nil {
		return cfg, err
	}
	cfg.Files, err = files(spec, deps)
	return cfg, err
}

// labels returns the container's labels: those of the swarm above those of the user.
func labels(t *swarmapi.Task, spec *swarmapi.ContainerSpec) map[string]string {
	all := maps.Clone(spec.Labels)
	if all == nil {
		all = make(map[string]string)
	}
	maps.Copy(all, t.Annotations.Labels)
	for k, v := range map[string]string{
		"task": "", "task.id": t.ID, "task.name": naming.Task(t), "node.id": t.NodeID, "service.id": t.ServiceID,
		"service.name": t.ServiceAnnotations.Name,
	} {
		all[labelPrefix+k] = v
	}
	return all
}

func resources(t *swarmapi.Task, spec *swarmapi.ContainerSpec) engine.Resources {
	r := engine.Resources{PidsLimit: spec.PidsLimit}
	if t.Spec.Resources != nil && t.Spec.Resources.Limits != nil {
		r.Memory, r.NanoCPUs = t.Spec.Resources.Limits.MemoryBytes, t.Spec.Resources.Limits.NanoCPUs
	}
	return r
}

func healthcheck(h *swarmapi.HealthConfig) *engine.Healthcheck {
	if h == nil {
		return nil
	}
	return &engine.Healthcheck{
		Test: h.Test, Interval: duration(h.Interval), Timeout: duration(h.Timeout), Retries: int(h.Retries),
		StartPeriod: duration(h.StartPeriod), StartInterval: duration(h.StartInterval),
	}
}

// duration returns a time of a spec; 0: none, or one that makes no sense.
func duration(d *gogotypes.Duration) time.Duration {
	if d == nil {
		return 0
	}
	v, err := gogotypes.DurationFromProto(d)
	if err != nil {
		return 0
	}
	return v
}

// hosts fills in name servers and the lines of /etc/hosts, which a spec has as "ADDRESS NAME".
func hosts(cfg *engine.ContainerConfig, spec *swarmapi.ContainerSpec) error {
	for _, line := range spec.Hosts {
		if parts := strings.Fields(line); len(parts) > 1 {
			cfg.ExtraHosts = append(cfg.ExtraHosts, parts[1]+":"+parts[0])
		}
	}
	if spec.DNSConfig == nil {
		return nil
	}
	for _, s := range spec.DNSConfig.Nameservers {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("name server: %w", err)
		}
		cfg.DNS = append(cfg.DNS, a)
	}
	if len(spec.DNSConfig.Search) > 0 {
		cfg.DNSSearch = spec.DNSConfig.Search
	}
	if len(spec.DNSConfig.Options) > 0 {
		cfg.DNSOptions = spec.DNSConfig.Options
	}
	return nil
}

// endpoints fills in the networks of a task, and the ports that it publishes on its own node. Those are with the first network.
func endpoints(cfg *engine.ContainerConfig, t *swarmapi.Task) error {
	if len(t.Networks) > 0 && predefined(t.Networks[0].Network) {
		cfg.NetworkMode = t.Networks[0].Network.Spec.Annotations.Name
	} else {
		for _, a := range t.Networks {
			ep, err := endpoint(t, a)
			if err != nil {
				return err
			}
			cfg.Networks = append(cfg.Networks, ep)
		}
	}
	if t.Endpoint == nil {
		return nil
	}
	var ports []cnm.PortBinding
	for _, p := range t.Endpoint.Ports {
		if p.PublishMode == swarmapi.PublishModeHost {
			ports = append(ports, cnm.PortBinding{Proto: proto(p), HostPort: uint16(p.PublishedPort), ContainerPort: uint16(p.TargetPort)})
		}
	}
	if len(cfg.Networks) > 0 {
		cfg.Networks[0].Ports = ports
	} else {
		cfg.Ports = ports
	}
	return nil
}

func proto(p *swarmapi.PortConfig) string { return strings.ToLower(p.Protocol.String()) }

// endpoint returns the place of a task on one network.
func endpoint(t *swarmapi.Task, a *swarmapi.NetworkAttachment) (cnm.EndpointConfig, error) {
	ip, err := addressOf(a)
	if err != nil {
		return cnm.EndpointConfig{}, err
	}
	s := &cnm.ServiceBinding{ServiceID: t.ServiceID, ServiceName: t.ServiceAnnotations.Name, Aliases: a.Aliases, TaskName: naming.Task(t)}
	if t.Endpoint != nil {
		for _, v := range t.Endpoint.VirtualIPs {
			if v.NetworkID != a.Network.ID || v.Addr == "" {
				continue
			}
			if s.VIP, err = addrOf(v.Addr); err != nil {
				return cnm.EndpointConfig{}, fmt.Errorf("virtual address: %w", err)
			}
		}
		if a.Network.Spec.Ingress {
			s.IngressPorts = ingressPorts(t.Endpoint.Ports)
		}
	}
	return cnm.EndpointConfig{Network: a.Network.ID, IP: ip, DriverOpts: a.DriverAttachmentOpts, Service: s}, nil
}

// addressOf returns the address that the swarm gave for a place on a network.
func addressOf(a *swarmapi.NetworkAttachment) (netip.Addr, error) {
	for _, text := range a.Addresses {
		if ip, err := addrOf(text); err == nil && ip.Is4() {
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the swarm gave no address on network %s", a.Network.Spec.Annotations.Name)
}

func ingressPorts(all []*swarmapi.PortConfig) []cnm.PortConfig {
	var out []cnm.PortConfig
	for _, p := range all {
		if p.PublishMode == swarmapi.PublishModeIngress && p.PublishedPort != 0 {
			out = append(out, cnm.PortConfig{Proto: proto(p), Published: uint16(p.PublishedPort), Target: uint16(p.TargetPort), Name: p.Name})
		}
	}
	return out
}

// secretsDir is where secrets are whose file's name is no path.
const secretsDir = "/run/secrets"

// files returns the secrets and configs of a task by their paths.
func files(spec *swarmapi.ContainerSpec, deps exec.DependencyGetter) (map[string][]byte, error) {
	all := make(map[string][]byte)
	for _, ref := range spec.Secrets {
		target := ref.GetFile()
		if target == nil {
			continue
		}
		s, err := deps.Secrets().Get(ref.SecretID)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", ref.SecretName, err)
		}
		all[placed(secretsDir, target.Name)] = s.Spec.Data
	}
	for _, ref := range spec.Configs {
		target := ref.GetFile()
		if target == nil {
			continue
		}
		c, err := deps.Configs().Get(ref.ConfigID)
		if err != nil {
			return nil, fmt.Errorf("config %s: %w", ref.ConfigName, err)
		}
		all[placed("/", target.Name)] = c.Spec.Data
	}
	return all, nil
}

// placed returns where the file of that name is to be.
func placed(dir, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	if !fs.ValidPath(name) {
		return path.Join(dir, path.Base(name))
	}
	return path.Join(dir, name)
}
