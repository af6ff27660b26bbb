package lab

import (
	"context"
	"fmt"
	"maps"
	"net"

	"github.com/netsim-lab/netsim/docker/shell"
)

// EngineHost is a host with an engine, as its commands see it.
type EngineHost struct {
	Name string
	// Dial opens a connection to the host's Docker API. It fails before the lab is up, and after it has ended.
	Dial func(ctx context.Context) (net.Conn, error)
}

// HostTools returns commands of a host with an engine, by name, beside those that every host has. They come from a floor
// above, for Docker's own command line is no part of a lab; package cmd/netsim/dockercli has it.
type HostTools func(h EngineHost) map[string]shell.Tool

// hostTools returns the further commands of a machine: docker-machine on every host, and on those with an engine what a
// floor above has for them.
func (l *Lab) hostTools(m *machine) map[string]shell.Tool {
	if m.host == nil {
		return nil
	}
	tools := map[string]shell.Tool{"docker-machine": l.dockerMachine}
	if l.cfg.HostTools == nil || m.host.Engine == "" {
		return tools
	}
	maps.Copy(tools, l.cfg.HostTools(EngineHost{Name: m.name, Dial: func(ctx context.Context) (net.Conn, error) {
		s := l.Docker(m.name)
		if s == nil {
			return nil, fmt.Errorf("the engine of %s does not run", m.name)
		}
		return s.Dial(ctx)
	}}))
	return tools
}
