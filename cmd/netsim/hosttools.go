package main

import (
	"github.com/netsim-lab/netsim/cmd/netsim/dockercli"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/lab"
)

// hostTools are the commands of a host with an engine that come from this floor: docker.
func hostTools(h lab.EngineHost) map[string]shell.Tool {
	return map[string]shell.Tool{"docker": dockercli.Tool(h.Dial)}
}
