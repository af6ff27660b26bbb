package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/netsim-lab/netsim/docker/engine"
)

// statsPeriod is how often docker stats gets a new sample.
const statsPeriod = time.Second

// containerStats answers docker stats: a sample a second, or one.
func (c *call) containerStats() error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	stream := c.boolOr("stream", true)
	now := ctr.Stats()
	if !stream {
		before := engine.Stats{}
		if !c.bool("one-shot") {
			before = now
		}
		return c.json(http.StatusOK, statsOf(ctr, before, now))
	}
	c.begin("application/json")
	enc := json.NewEncoder(c.w)
	tick := time.NewTicker(statsPeriod)
	defer tick.Stop()
	for before := (engine.Stats{}); ; before, now = now, ctr.Stats() {
		if err := enc.Encode(statsOf(ctr, before, now)); err != nil {
			return nil // the client has left
		}
		c.flush()
		select {
		case <-tick.C:
		case <-c.ctx().Done():
			return nil
		}
	}
}

// statsOf is a sample as the API has it, beside the one before.
func statsOf(ctr *engine.Container, before, now engine.Stats) container.StatsResponse {
	v := container.StatsResponse{
		Name: "/" + ctr.Name(), ID: ctr.ID(), Read: now.Read, PreRead: before.Read,
		CPUStats: cpuStats(now), PreCPUStats: cpuStats(before), PidsStats: container.PidsStats{Current: uint64(max(now.PIDs, 0))},
		MemoryStats: container.MemoryStats{Limit: uint64(max(now.Memory, 0))},
	}
	for _, n := range now.Interfaces {
		if v.Networks == nil {
			v.Networks = map[string]container.NetworkStats{}
		}
		v.Networks[n.Name] = container.NetworkStats{
			RxBytes: n.RxBytes, RxPackets: n.RxPackets, RxDropped: n.RxDropped,
			TxBytes: n.TxBytes, TxPackets: n.TxPackets, TxDropped: n.TxDropped,
		}
	}
	return v
}

func cpuStats(s engine.Stats) container.CPUStats {
	return container.CPUStats{SystemUsage: uint64(max(s.Read.UnixNano(), 0)), OnlineCPUs: uint32(max(s.CPUs, 0))}
}
