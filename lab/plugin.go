package lab

import (
	"fmt"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/cnm/ptp"
	"github.com/netsim-lab/netsim/docker/ipam"
	remoteipam "github.com/netsim-lab/netsim/docker/ipam/remote"
	"github.com/netsim-lab/netsim/lab/topology"
)

// addPlugins makes the topology's plug-ins known to a host's engine. A process behind a socket is asked for nothing yet.
func (l *Lab) addPlugins(c *cnm.Controller) error {
	for i := range l.spec.Plugins {
		p := &l.spec.Plugins[i]
		var err error
		switch {
		case p.Socket != "":
			err = c.AddIPAMDriver(p.Name, remoteipam.New(remoteipam.Config{Name: p.Name, Socket: p.Socket, Timeout: p.Timeout}))
		case p.Builtin == topology.PluginPTP:
			err = c.AddNetworkDriver(p.Name, ptp.New(c))
		case p.Builtin == topology.PluginSerial:
			err = c.AddIPAMDriver(p.Name, ipam.NewDriver(true, ipam.Local()...))
		}
		if err != nil {
			return fmt.Errorf("%s: plug-in %q: %w", p.Pos, p.Name, err)
		}
	}
	return nil
}
