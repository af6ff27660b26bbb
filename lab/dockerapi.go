package lab

import (
	"context"
	"path/filepath"

	"github.com/netsim-lab/netsim/docker/api"
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
		cfg := api.Config{Engine: eng, Modern: l.modern(), Release: l.release(), Log: l.log}
		if dir != nil {
			cfg.Socket = filepath.Join(dir.path, dockerSocket(m.name))
			if err := api.CheckSocket(cfg.Socket); err != nil {
				l.log.Warn("the Docker API of a host is not served on a socket", "host", m.name, "error", err)
				cfg.Socket = ""
			}
		}
		if n := l.swarmNode(m.name); n != nil {
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

// dockerPath returns where a host's Docker API is served; empty: nowhere.
func (l *Lab) dockerPath(host string) string {
	s := l.Docker(host)
	if s == nil {
		return ""
	}
	return s.Socket()
}
