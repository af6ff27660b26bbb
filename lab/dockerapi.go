package lab

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/netsim-lab/netsim/docker/api"
	"github.com/netsim-lab/netsim/docker/engine"
)

// dockerSocket returns the name of the socket on which a host's Docker API is served in the lab's directory.
func dockerSocket(host string) string {
	name := host + ".sock"
	if name == socketName {
		return host + "-docker.sock" // the other one is the lab's own
	}
	return name
}

// serveDocker serves the Docker API of every engine: in memory, and on HOST.sock where the lab has a directory. A socket
// whose path would be too long is left out, with a warning. It returns once all are served.
func (l *Lab) serveDocker(ctx context.Context, dir *runDir) {
	for _, m := range l.phys.order {
		eng := l.engine(m.name)
		if eng == nil {
			continue
		}
		cfg := api.Config{Engine: eng, Modern: l.modern(), Log: l.log}
		if dir != nil {
			cfg.Socket = filepath.Join(dir.path, dockerSocket(m.name))
			if err := api.CheckSocket(cfg.Socket); err != nil {
				l.log.Warn("the Docker API of a host is not served on a socket", "host", m.name, "error", err)
				cfg.Socket = ""
			}
		}
		if l.member(m.name) {
			cfg.Swarm = labSwarm{l, m}
		} else if n := l.swarmNode(m.name); n != nil {
			cfg.Swarm = apiSwarm{n}
		}
		s := api.New(cfg)
		l.running().spawn(s.Run)
		select {
		case <-s.Ready():
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		l.apis[m.name] = s
		l.mu.Unlock()
	}
}

// Docker returns the Docker API of a host; nil if it runs no engine, or before the lab is up.
func (l *Lab) Docker(host string) *api.Server {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.apis[host]
}

// labSwarm is a host's side of the swarm that the topology has: the lab runs it, so that the API tells of it only.
type labSwarm struct {
	l *Lab
	m *machine
}

var errLabSwarm = fmt.Errorf("%w: the swarm of this lab is run by netsim, as its topology says: the API does not reach it yet", engine.ErrUnsupported)

// Init implements api.Swarm.
func (labSwarm) Init(context.Context, api.SwarmInit) (string, error) { return "", errLabSwarm }

// Join implements api.Swarm.
func (labSwarm) Join(context.Context, api.SwarmJoin) error { return errLabSwarm }

// Leave implements api.Swarm.
func (labSwarm) Leave(context.Context, bool) error { return errLabSwarm }

// Control implements api.Swarm.
func (labSwarm) Control() api.Control { return nil }

// Info implements api.Swarm.
func (s labSwarm) Info() api.SwarmInfo {
	l := s.l
	info := api.SwarmInfo{
		State: api.SwarmActive, NodeAddr: s.m.addr.Addr().String(), Managers: len(l.spec.Swarm.Managers),
		Nodes: len(l.spec.Swarm.Managers) + len(l.spec.Swarm.Workers),
	}
	ids := map[string]string{}
	for _, n := range l.Cluster().Nodes() {
		ids[n.Name] = n.ID
	}
	info.NodeID = ids[s.m.name]
	for _, ref := range l.spec.Swarm.Managers {
		info.Manager = info.Manager || ref.Name == s.m.name
		info.RemoteManagers = append(info.RemoteManagers, api.SwarmPeer{
			NodeID: ids[ref.Name], Addr: l.phys.machines[ref.Name].addr.Addr().String() + ":2377",
		})
	}
	info.Control = info.Manager
	return info
}

// dockerPath returns where a host's Docker API is served; empty: nowhere.
func (l *Lab) dockerPath(host string) string {
	s := l.Docker(host)
	if s == nil {
		return ""
	}
	return s.Socket()
}
