package api

import (
	"net/http"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/volume"
)

// refuse answers that something is not simulated.
func refuse(text string) handler {
	return func(*call) error { return &apiError{http.StatusNotImplemented, text} }
}

// Texts of engines that are asked for what only a manager of a swarm knows.
const (
	textNoSwarm = `This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`
	textWorker  = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. " +
		"Please run this command on a manager node or promote the current node to a manager."
	textLabSwarm = "the swarm of this lab is run by netsim, as its topology says: the API does not reach it yet"
	textNotPart  = "This node is not part of a swarm"
	textPart     = `This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.`
	textNoInit   = "swarms are not made over the API yet: give the topology a swarm section"
)

// noManager answers the requests of a swarm.
func (c *call) noManager() error {
	swarm := c.s.swarm()
	segments, _ := splitPath(c.r.URL.Path)
	last := segments[len(segments)-1]
	switch {
	case swarm.Active && (last == "init" || last == "join") && c.r.Method == http.MethodPost:
		return &apiError{http.StatusServiceUnavailable, textPart}
	case swarm.Active && swarm.Manager:
		return &apiError{http.StatusNotImplemented, textLabSwarm}
	case swarm.Active:
		return &apiError{http.StatusServiceUnavailable, textWorker}
	case last == "init" || last == "join":
		return &apiError{http.StatusNotImplemented, textNoInit}
	case last == "leave":
		return &apiError{http.StatusServiceUnavailable, textNotPart}
	}
	return &apiError{http.StatusServiceUnavailable, textNoSwarm}
}

func (c *call) volumeList() error {
	if _, err := c.filters("dangling", "driver", "label", "name"); err != nil {
		return err
	}
	return c.json(http.StatusOK, volume.ListResponse{Volumes: []*volume.Volume{}})
}

func (c *call) volumePrune() error {
	if _, err := c.filters("label", "label!", "all"); err != nil {
		return err
	}
	return c.json(http.StatusOK, volume.PruneReport{VolumesDeleted: []string{}})
}

func (c *call) buildPrune() error { return c.json(http.StatusOK, build.CachePruneReport{}) }

func (c *call) volumeMissing() error { return notFound("get %s: no such volume", c.name) }

func (c *call) pluginList() error { return c.json(http.StatusOK, types.PluginsListResponse{}) }

func (c *call) pluginMissing() error {
	if c.name == "privileges" {
		return &apiError{http.StatusNotImplemented, "plugins are not simulated"}
	}
	return notFound("plugin %q not found", c.name)
}
