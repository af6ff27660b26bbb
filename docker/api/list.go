package api

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/docker/go-units"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
)

// containerList answers docker ps.
func (c *call) containerList() error {
	f, err := c.filters("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network",
		"publish", "since", "status", "volume")
	if err != nil {
		return err
	}
	list := listing{s: c.s, f: f, all: c.bool("all")}
	if text := c.query.Get("limit"); text != "" {
		if list.limit, err = strconv.Atoi(text); err != nil {
			return invalid("invalid limit %q: %v", text, err)
		}
	}
	if err := list.read(); err != nil {
		return err
	}
	found := []container.Summary{}
	containers := c.s.engine.Containers()
	slices.Reverse(containers)
	for _, ctr := range containers {
		if list.limit > 0 && len(found) == list.limit {
			break
		}
		if list.since != "" && ctr.ID() == list.since {
			break
		}
		if list.before != "" {
			if ctr.ID() == list.before {
				list.before = ""
			}
			continue
		}
		info := ctr.Inspect()
		if list.match(&info) {
			found = append(found, c.s.summary(&info, c.bool("size")))
		}
	}
	return c.json(http.StatusOK, found)
}

// listing is what a docker ps asks for.
type listing struct {
	s     *Server
	f     filters.Args
	all   bool
	limit int

	before, since    string // ids
	exited           []int
	images           map[string]bool // ids; nil: all
	publish, exposed map[string]bool // ports as 80/tcp; nil: all
}

// read checks the values of the filters.
func (l *listing) read() error {
	for _, text := range l.f.Get("exited") {
		code, err := strconv.Atoi(text)
		if err != nil {
			return invalid("invalid filter 'exited=%s': %v", text, err)
		}
		l.exited = append(l.exited, code)
	}
	for _, text := range l.f.Get("status") {
		if err := container.ValidateContainerState(text); err != nil {
			return invalid("invalid filter 'status=%s': %v", text, err)
		}
		l.all = true
	}
	for _, text := range l.f.Get("health") {
		if err := container.ValidateHealthStatus(text); err != nil {
			return invalid("invalid filter 'health=%s': %v", text, err)
		}
	}
	if _, err := l.f.GetBoolOrDefault("is-task", false); err != nil {
		return invalid("%v", err)
	}
	for key, id := range map[string]*string{"before": &l.before, "since": &l.since} {
		for _, ref := range l.f.Get(key) {
			ctr, err := l.s.engine.Container(ref)
			if err != nil {
				return err
			}
			*id = ctr.ID()
		}
	}
	if l.f.Contains("ancestor") {
		l.images = map[string]bool{}
		for _, ref := range l.f.Get("ancestor") {
			if im, err := l.s.engine.Image(ref); err == nil {
				l.images[im.ID] = true
			}
		}
	}
	var err error
	if l.publish, err = portFilter(l.f, "publish"); err != nil {
		return err
	}
	l.exposed, err = portFilter(l.f, "expose")
	return err
}

// portFilter reads ports as 80, 80/udp or 8000-8010/tcp.
func portFilter(f filters.Args, key string) (map[string]bool, error) {
	if !f.Contains(key) {
		return nil, nil
	}
	ports := map[string]bool{}
	for _, text := range f.Get(key) {
		if strings.Contains(text, ":") {
			return nil, invalid("filter for '%s' should not contain ':': %s", key, text)
		}
		proto, span := nat.SplitProtoPort(text)
		first, last, err := nat.ParsePortRange(span)
		if err != nil || last > 65535 {
			return nil, invalid("error while looking up for %s %s: %v", key, text, cmp.Or(err, strconv.ErrRange))
		}
		for p := first; p <= last; p++ {
			ports[fmt.Sprintf("%d/%s", p, proto)] = true
		}
	}
	return ports, nil
}

// match tells whether a container is asked for.
func (l *listing) match(info *engine.ContainerInfo) bool {
	running := info.State.Running
	f := l.f
	switch {
	case !running && !l.all && l.limit <= 0,
		!f.Match("name", info.Name) && !f.Match("name", "/"+info.Name),
		!f.Match("id", info.ID),
		!f.MatchKVList("label", info.Config.Labels),
		!f.ExactMatch("status", info.State.Status.String()),
		!f.ExactMatch("health", healthStatus(info.State.Health)),
		l.images != nil && !l.images[info.ImageID],
		f.Contains("volume"), // no container of a lab has one
		f.Contains("isolation") && !f.ExactMatch("isolation", "default"),
		len(l.exited) > 0 && (running || info.State.StartedAt.IsZero() || !slices.Contains(l.exited, info.State.ExitCode)):
		return false
	}
	if task, err := f.GetBoolOrDefault("is-task", false); f.Contains("is-task") && (err != nil || task != isTask(info)) {
		return false
	}
	return l.matchNetwork(info) && l.matchPorts(info)
}

func isTask(info *engine.ContainerInfo) bool {
	return info.Config.Labels["com.docker.swarm.task.id"] != ""
}

func (l *listing) matchNetwork(info *engine.ContainerInfo) bool {
	if !l.f.Contains("network") {
		return true
	}
	for _, want := range l.f.Get("network") {
		for _, ep := range info.Network.Networks {
			if ep.Network == want || strings.HasPrefix(ep.NetworkID, want) && ep.NetworkID != "" {
				return true
			}
		}
	}
	return false
}

func (l *listing) matchPorts(info *engine.ContainerInfo) bool {
	if l.publish == nil && l.exposed == nil {
		return true
	}
	for _, p := range l.s.ports(info) {
		if l.publish[fmt.Sprintf("%d/%s", p.PublicPort, p.Type)] || l.exposed[fmt.Sprintf("%d/%s", p.PrivatePort, p.Type)] {
			return true
		}
	}
	return false
}

// summary is a container as docker ps has it.
func (s *Server) summary(info *engine.ContainerInfo, sizes bool) container.Summary {
	v := container.Summary{
		ID: info.ID, Names: []string{"/" + info.Name}, Image: info.Image, ImageID: info.ImageID, Command: commandLine(info),
		Created: info.Created.Unix(), Ports: s.ports(info), Labels: labels(info.Config.Labels), State: info.State.Status.String(),
		Status: statusText(info, time.Now()), Mounts: []container.MountPoint{},
		NetworkSettings: &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{}},
	}
	v.HostConfig.NetworkMode = info.Network.Mode
	for _, ep := range info.Network.Networks {
		v.NetworkSettings.Networks[ep.Network] = endpointSettings(&ep)
	}
	if sizes {
		v.SizeRootFs = s.imageSize(info.ImageID)
	}
	return v
}

// imageSize returns how large an image is; 0: it is gone.
func (s *Server) imageSize(id string) int64 {
	im, err := s.engine.Image(id)
	if err != nil {
		return 0
	}
	return im.Size
}

func labels(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// commandLine is a command with quotes around the arguments that need them, as docker ps has it.
func commandLine(info *engine.ContainerInfo) string {
	var b strings.Builder
	for i, arg := range info.Args {
		if i == 0 {
			b.WriteString(arg)
			continue
		}
		if strings.Contains(arg, " ") {
			arg = "'" + arg + "'"
		}
		b.WriteString(" " + arg)
	}
	return b.String()
}

// statusText is the column STATUS of docker ps (F2).
func statusText(info *engine.ContainerInfo, now time.Time) string {
	ago := func(t time.Time) string { return units.HumanDuration(now.Sub(t)) }
	switch info.State.Status {
	case engine.Paused:
		return "Up " + ago(info.State.StartedAt) + " (Paused)"
	case engine.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", info.State.ExitCode, ago(info.State.FinishedAt))
	case engine.Removing:
		return "Removal In Progress"
	case engine.Dead:
		return "Dead"
	case engine.Running:
		switch h := healthStatus(info.State.Health); h {
		case container.NoHealthcheck:
			return "Up " + ago(info.State.StartedAt)
		case container.Starting:
			return "Up " + ago(info.State.StartedAt) + " (health: starting)"
		default:
			return "Up " + ago(info.State.StartedAt) + " (" + h + ")"
		}
	}
	if info.State.StartedAt.IsZero() {
		return "Created"
	}
	return fmt.Sprintf("Exited (%d) %s ago", info.State.ExitCode, ago(info.State.FinishedAt))
}

func healthStatus(h *engine.Health) string {
	if h == nil || h.Status == "" {
		return container.NoHealthcheck
	}
	return string(h.Status)
}

// ports are the published ports of a container, and those that its image exposes and nobody published (E21).
func (s *Server) ports(info *engine.ContainerInfo) []container.Port {
	all := []container.Port{}
	seen := map[string]bool{}
	for _, p := range info.Network.Ports {
		proto := cmp.Or(p.Proto, "tcp")
		seen[fmt.Sprintf("%d/%s", p.ContainerPort, proto)] = true
		for _, ip := range s.hostIPs(p) {
			all = append(all, container.Port{IP: ip, PrivatePort: p.ContainerPort, PublicPort: p.HostPort, Type: proto})
		}
	}
	for _, name := range info.ExposedPorts {
		number, proto, err := engine.ParsePort(name)
		if err == nil && !seen[fmt.Sprintf("%d/%s", number, proto)] && info.State.Running {
			all = append(all, container.Port{PrivatePort: number, Type: proto})
		}
	}
	return all
}

// hostIPs are the addresses of the host on which a port is published.
func (s *Server) hostIPs(p cnm.PortBinding) []string {
	switch {
	case p.HostIP.IsValid() && !p.HostIP.IsUnspecified():
		return []string{p.HostIP.String()}
	case s.cfg.Modern:
		return []string{netip.IPv4Unspecified().String(), netip.IPv6Unspecified().String()}
	}
	return []string{netip.IPv4Unspecified().String()}
}
