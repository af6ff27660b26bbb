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
