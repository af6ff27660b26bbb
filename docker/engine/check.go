package engine

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/docker/shell"
)

// check holds a normalised configuration against Docker's rules, and against what a container here can have.
func (e *Engine) check(cfg *ContainerConfig) (warnings []string, err error) {
	if cfg.Name != "" && !nameForm.MatchString(strings.TrimPrefix(cfg.Name, "/")) {
		return nil, fail(ErrInvalid, "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", cfg.Name)
	}
	for _, check := range []func(*ContainerConfig) error{e.checkMode, checkReach, checkPolicy, e.checkValues} {
		if err := check(cfg); err != nil {
			return nil, err
		}
	}
	if cfg.NetworkMode == cnm.NetworkHost && (len(cfg.Ports) > 0 || cfg.PublishAll) && e.Controller().Modern() {
		warnings = append(warnings, "Published ports are discarded when using host network mode") // H2
	}
	if len(cfg.Volumes)+len(cfg.Binds)+len(cfg.Mounts) > 0 {
		warnings = append(warnings, "Volumes keep nothing here: what a container writes goes with it")
	}
	return warnings, nil
}

// checkMode holds the network mode against what does not go with it (H6 to H8).
func (e *Engine) checkMode(cfg *ContainerConfig) error {
	say := func(format string) error {
		text := fmt.Sprintf(format, "and the network mode")
		if e.Controller().Modern() {
			return fail(ErrInvalid, "conflicting options: %s", text)
		}
		return fail(ErrInvalid, "Conflicting options: %s", text)
	}
	if cfg.shares() != "" {
		switch {
		case cfg.Hostname != "" || cfg.Domainname != "":
			return say("hostname %s")
		case len(cfg.Links) > 0:
			return fail(ErrInvalid, "conflicting options: container type network can't be used with links. This would result in undefined behavior")
		case len(cfg.DNS)+len(cfg.DNSSearch)+len(cfg.DNSOptions) > 0:
			return say("dns %s")
		case len(cfg.ExtraHosts) > 0:
			return say("custom host-to-IP mapping %s")
		case !cfg.MAC.IsZero():
			return say("mac-address %s")
		case len(cfg.Ports) > 0 || cfg.PublishAll:
			return fail(ErrInvalid, "conflicting options: port publishing and the container type network mode")
		case len(cfg.ExposedPorts) > 0:
			return fail(ErrInvalid, "conflicting options: port exposing and the container type network mode")
		case len(cfg.Networks) > 0:
			return fail(ErrInvalid, "conflicting options: cannot attach both user-defined and non-user-defined network-modes") // H9
		}
		return nil
	}
	if cfg.NetworkMode == cnm.NetworkHost && len(cfg.Links) > 0 {
		return fail(ErrInvalid, "conflicting options: host type networking can't be used with links. This would result in undefined behavior")
	}
	seen := map[string]bool{}
	for _, ep := range cfg.Networks {
		if seen[ep.Network] {
			return fail(ErrInvalid, "network %q is specified multiple times", ep.Network)
		}
		seen[ep.Network] = true
		if len(cfg.Networks) > 1 && (ep.Network == cnm.NetworkHost || ep.Network == cnm.NetworkNone) {
			return fail(ErrInvalid, "conflicting options: cannot attach both user-defined and non-user-defined network-modes")
		}
	}
	return nil
}

// checkReach refuses what would reach the real machine.
func checkReach(cfg *ContainerConfig) error {
	mounts := slices.Clone(cfg.Mounts)
	for _, b := range cfg.Binds {
		mounts = append(mounts, parseBind(b))
	}
	for _, m := range mounts {
		if m.Type != "volume" && m.Type != "tmpfs" {
			return fail(ErrForbidden, "mount of type %s of %s refused: a simulated host has no files of the real machine; use a volume or a tmpfs", m.Type, m.Source)
		}
	}
	if len(cfg.Devices) > 0 {
		return fail(ErrForbidden, "device %s refused: a simulated host has none of the real machine", cfg.Devices[0])
	}
	for _, mode := range []struct{ what, value string }{
		{"process ids", cfg.PIDMode}, {"IPC", cfg.IPCMode}, {"UTS names", cfg.UTSMode}, {"user ids", cfg.UsernsMode}, {"cgroups", cfg.CgroupnsMode},
	} {
		if mode.value == "host" {
			return fail(ErrForbidden, "namespace of %s of the host refused: a simulated host has none; leave it private", mode.what)
		}
	}
	return nil
}

// parseBind reads SOURCE:TARGET:OPTIONS, or a target alone, as docker run -v takes it: a source that is a path is one of
// the machine, any other the name of a volume.
func parseBind(text string) Mount {
	source, target, ok := strings.Cut(text, ":")
	if !ok {
		return Mount{Type: "volume", Target: text}
	}
	target, options, _ := strings.Cut(target, ":")
	m := Mount{Type: "volume", Source: source, Target: target, ReadOnly: slices.Contains(strings.Split(options, ","), "ro")}
	if strings.ContainsAny(source, `/\~`) || strings.HasPrefix(source, ".") {
		m.Type = "bind"
	}
	return m
}

func checkPolicy(cfg *ContainerConfig) error {
	p := cfg.RestartPolicy
	switch p.Name {
	case "", "no", "always", "unless-stopped":
		if p.MaximumRetryCount != 0 {
			return fail(ErrInvalid, "invalid restart policy: maximum retry count can only be used with 'on-failure'")
		}
	case "on-failure":
		if p.MaximumRetryCount < 0 {
			return fail(ErrInvalid, "invalid restart policy: maximum retry count cannot be negative")
		}
	default:
		return fail(ErrInvalid, "invalid restart policy: unknown policy '%s'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'", p.Name)
	}
	if cfg.AutoRemove && p.Name != "" && p.Name != "no" {
		return fail(ErrInvalid, "can't create 'AutoRemove' container with restart policy")
	}
	return nil
}

func (e *Engine) checkValues(cfg *ContainerConfig) error {
	if cfg.StopSignal != "" {
		if _, err := parseSignal(cfg.StopSignal); err != nil {
			return err
		}
	}
	if cfg.WorkingDir != "" && !path.IsAbs(cfg.WorkingDir) {
		return fail(ErrInvalid, "the working directory '%s' is invalid, it needs to be an absolute path", cfg.WorkingDir)
	}
	for _, kv := range cfg.Env {
		if kv == "" || kv[0] == '=' {
			return fail(ErrInvalid, "invalid environment variable: %s", kv)
		}
	}
	for _, h := range cfg.ExtraHosts {
		if _, _, err := parseExtraHost(h); err != nil {
			return err
		}
	}
	for _, p := range cfg.ExposedPorts {
		if _, _, err := ParsePort(p); err != nil {
			return err
		}
	}
	if cfg.Healthcheck != nil {
		return checkHealth(cfg.Healthcheck)
	}
	return nil
}

// hostGateway stands for an address of the host in ExtraHosts.
const hostGateway = "host-gateway"

// parseExtraHost reads NAME:IP or NAME=IP; an invalid address stands for host-gateway.
func parseExtraHost(text string) (name string, addr netip.Addr, err error) {
	name, ip, ok := strings.Cut(text, ":")
	if n, i, eq := strings.Cut(text, "="); eq && len(n) < len(name) {
		name, ip, ok = n, i, true
	}
	if !ok || name == "" {
		return "", addr, fail(ErrInvalid, "bad format for add-host: %q", text)
	}
	if ip == hostGateway {
		return name, addr, nil
	}
	if addr, err = netip.ParseAddr(strings.Trim(ip, "[]")); err != nil {
		return "", addr, fail(ErrInvalid, "invalid IP address in add-host: %q", ip)
	}
	return name, addr.Unmap(), nil
}

// checkCommand tells whether the container's program is there, as the runtime finds out when it starts it.
func (c *Container) checkCommand(sys *shell.System) error {
	if err := c.checkProgram(sys, c.argv[0]); err != nil {
		return fail(ErrInvalid, "%s", notExecutable("failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init", c.argv[0]))
	}
	return nil
}

// checkProgram tells whether the container has a program of that name.
func (c *Container) checkProgram(sys *shell.System, name string) error {
	if _, ok := c.image.Program(name); ok {
		return nil
	}
	if c.image.Tools != image.ToolsNone {
		if _, ok := sys.LookPath(name); ok {
			return nil
		}
	}
	return &shell.NotFoundError{Name: name}
}

// notExecutable is what the runtime says of a command that is not there.
func notExecutable(what, name string) string {
	if strings.ContainsRune(name, '/') {
		return fmt.Sprintf("%s: exec: %q: stat %s: no such file or directory: unknown", what, name, name)
	}
	return fmt.Sprintf("%s: exec: %q: executable file not found in $PATH: unknown", what, name)
}
