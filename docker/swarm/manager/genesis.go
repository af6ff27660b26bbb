package manager

import (
	"errors"

	gogotypes "github.com/gogo/protobuf/types"
	"github.com/moby/swarmkit/v2/api"
	swarmca "github.com/moby/swarmkit/v2/ca"
	"github.com/moby/swarmkit/v2/identity"
	"github.com/moby/swarmkit/v2/manager/allocator/networkallocator"
	"github.com/moby/swarmkit/v2/manager/state/store"
	"github.com/opencontainers/go-digest"

	"github.com/netsim-lab/netsim/docker/swarm/consensus"
)

// taskHistory is how many tasks of a slot are kept (W30).
const taskHistory = 5

// ingressSubnet is that of the network ingress until 19.03 (O2).
const ingressSubnet = "10.255.0.0/16"

// begin puts into the store what a swarm has from the start, unless it is there: swarmkit's manager does so in becomeLeader.
func (m *Manager) begin() error {
	return m.state.Store().Update(func(tx store.Tx) error {
		id := m.cfg.Identity()
		if store.GetCluster(tx, id.Cluster) == nil {
			if m.cfg.Genesis == nil {
				return errors.New("the swarm has no cluster object")
			}
			if err := store.CreateCluster(tx, m.cluster(id.Cluster)); err != nil {
				return err
			}
		}
		if store.GetNode(tx, id.Node) == nil && m.cfg.Genesis != nil {
			if err := store.CreateNode(tx, m.firstNode(id.Node)); err != nil {
				return err
			}
			if err := store.CreateNetwork(tx, m.ingress()); err != nil {
				return err
			}
		}
		for _, p := range m.provider().PredefinedNetworks() {
			err := store.CreateNetwork(tx, &api.Network{
				ID: identity.NewID(),
				Spec: api.NetworkSpec{
					Annotations:  api.Annotations{Name: p.Name, Labels: map[string]string{networkallocator.PredefinedLabel: "true"}},
					DriverConfig: &api.Driver{Name: p.Driver},
				},
			})
			if err != nil && !errors.Is(err, store.ErrNameConflict) {
				return err
			}
		}
		return nil
	})
}

// cluster is the object of a new swarm.
func (m *Manager) cluster(id string) *api.Cluster {
	g := m.cfg.Genesis
	c := &api.Cluster{
		ID: id,
		Spec: api.ClusterSpec{
			Annotations:   api.Annotations{Name: store.DefaultClusterName},
			Orchestration: api.OrchestrationConfig{TaskHistoryRetentionLimit: taskHistory},
			Dispatcher:    api.DispatcherConfig{HeartbeatPeriod: gogotypes.DurationProto(g.Heartbeat)},
			Raft: api.RaftConfig{
				SnapshotInterval: orDefault(m.cfg.SnapshotEvery, consensus.DefaultSnapshotEvery), LogEntriesForSlowFollowers: orDefault(m.cfg.KeepEntries, consensus.DefaultKeepEntries),
				ElectionTick: uint32(orDefault(m.cfg.ElectionTicks, consensus.DefaultElectionTicks)), HeartbeatTick: consensus.DefaultHeartbeatTicks,
			},
			CAConfig:         api.CAConfig{NodeCertExpiry: gogotypes.DurationProto(g.CertLife)},
			EncryptionConfig: api.EncryptionConfig{AutoLockManagers: g.UnlockKey != nil},
		},
		RootCA: api.RootCA{
			CAKey: g.RootKey, CACert: g.Root, CACertHash: digest.FromBytes(g.Root).String(),
			JoinTokens: api.JoinTokens{Worker: g.WorkerToken, Manager: g.ManagerToken},
		},
		DefaultAddressPool: g.DefaultAddrPool, SubnetSize: g.SubnetSize, VXLANUDPPort: g.DataPathPort,
	}
	if g.UnlockKey != nil {
		c.UnlockKeys = []*api.EncryptionKey{{Subsystem: swarmca.ManagerRole, Key: g.UnlockKey}}
	}
	return c
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// firstNode is the node of the manager that begins a swarm.
func (m *Manager) firstNode(id string) *api.Node {
	return &api.Node{
		ID:   id,
		Role: api.NodeRoleManager,
		Certificate: api.Certificate{
			CN: id, Role: api.NodeRoleManager, Status: api.IssuanceStatus{State: api.IssuanceStateIssued},
		},
		Spec: api.NodeSpec{
			DesiredRole: api.NodeRoleManager, Membership: api.NodeMembershipAccepted, Availability: m.cfg.Genesis.Availability,
		},
		VXLANUDPPort: m.cfg.Genesis.DataPathPort,
	}
}

// ingress is the network of the routing mesh.
func (m *Manager) ingress() *api.Network {
	n := &api.Network{
		ID: identity.NewID(),
		Spec: api.NetworkSpec{
			Ingress: true, Annotations: api.Annotations{Name: "ingress"}, DriverConfig: &api.Driver{},
			IPAM: &api.IPAMOptions{Driver: &api.Driver{}},
		},
	}
	if !m.cfg.Modern && len(m.cfg.Genesis.DefaultAddrPool) == 0 {
		n.Spec.IPAM.Configs = []*api.IPAMConfig{{Family: api.IPAMConfig_IPV4, Subnet: ingressSubnet}}
	}
	return n
}
