package manager

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/moby/swarmkit/v2/api"
	swarmca "github.com/moby/swarmkit/v2/ca"
	"github.com/moby/swarmkit/v2/manager/dispatcher"
	"github.com/moby/swarmkit/v2/manager/keymanager"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// Config says what a Manager is to be. Addr, Network, Identity and Storage must be set.
type Config struct {
	Addr     string              // what others call: host:port
	Listen   string              // where to listen: host:port; empty: Addr
	Network  consensus.Network   // of the host
	Identity func() *ca.Identity // the certificate of the moment
	Storage  *consensus.Storage

	Join            string   // address of a manager to join, while the storage is empty
	Genesis         *Genesis // how the swarm begins, if it does with this manager; nil: it exists
	ForceNewCluster bool     // go on alone with what the storage holds as agreed

	Modern        bool          // networks are numbered as by today's Docker (O1)
	Tick          time.Duration // of raft; zero: consensus.DefaultTick, and likewise the next three
	ElectionTicks int
	SnapshotEvery uint64
	KeepEntries   uint64
	OnLock        func([]byte)     // told the key that managers are locked with, nil without one, when that changes (W17); nil: not
	KeyRotation   time.Duration    // of the keys for gossip and IPsec; zero: 12 h (C12)
	Now           func() time.Time // for certificates; nil: time.Now
	Log           *slog.Logger     // nil: silent
}

// Genesis is what a new swarm is made of. Root, RootKey and the tokens must be set.
type Genesis struct {
	Root, RootKey             []byte // PEM
	WorkerToken, ManagerToken string

	Availability    api.NodeSpec_Availability // of the first node
	UnlockKey       []byte                    // managers are locked with it; nil: they are not (W17)
	Heartbeat       time.Duration             // of agents; zero: 5 s (W4)
	CertLife        time.Duration             // of nodes' certificates; zero: 90 days (W16)
	DefaultAddrPool []string                  // prefixes that subnets are cut from; none: 10.0.0.0/8
	SubnetSize      uint32                    // zero: 24
	DataPathPort    uint32                    // of VXLAN; zero: 4789
}

func (c Config) complete() (Config, error) {
	if c.Identity == nil || c.Identity() == nil {
		return c, errors.New("new manager: it has no certificate")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.KeyRotation == 0 {
		c.KeyRotation = keymanager.DefaultKeyRotationInterval
	}
	if g := c.Genesis; g != nil {
		if len(g.Root) == 0 || len(g.RootKey) == 0 || g.WorkerToken == "" || g.ManagerToken == "" {
			return c, errors.New("new manager: a swarm begins with a root, its key and two tokens")
		}
		if g.Heartbeat < 0 || g.CertLife < 0 {
			return c, fmt.Errorf("new manager: heartbeats of %v and certificates that live %v", g.Heartbeat, g.CertLife)
		}
		own := *g
		if own.Heartbeat == 0 {
			own.Heartbeat = dispatcher.DefaultHeartBeatPeriod
		}
		if own.CertLife == 0 {
			own.CertLife = swarmca.DefaultNodeCertExpiration
		}
		c.Genesis = &own
	}
	return c, nil
}
