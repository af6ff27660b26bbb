package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/swarm/agent"
	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/manager"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// membership is a node's time in a swarm, from when it begins or joins it, or is switched on again, until it leaves or is
// switched off.
type membership struct {
	node     *Node
	cfg      *Config
	log      *slog.Logger
	addr     string
	remotes  *remotes
	client   manager.Client
	agent    *agent.Agent
	sessions atomic.Uint64
	luck     *rand.Rand // used by the goroutine that renews

	genesis  *manager.Genesis // nil: the swarm is there
	forceNew bool
	patience time.Duration   // for which enrol tries at least
	turn     <-chan struct{} // nil: it need not wait for others
	enrolled func()          // called once; nil: nobody wants to know

	stop    chan struct{} // closes to end it
	once    sync.Once
	ready   chan struct{} // closes when the node takes part
	ended   chan struct{} // closes when run returns
	changed chan struct{} // holds a token: a new certificate is wanted

	mu      sync.Mutex
	held    *ca.Identity     // nil: not yet; guarded by mu
	swapped chan struct{}    // closes when held changes; guarded by mu
	manager *manager.Manager // nil: none runs; guarded by mu
	err     error            // why it ended; guarded by mu
}

// keepTime is for how long a connection to a manager is kept: longer than from heartbeat to heartbeat.
const keepTime = 30 * time.Second

func (n *Node) newMembership(r record) *membership {
	advertise, _ := netip.ParseAddrPort(r.addr) // a name is none of the host's addresses
	n.cfg.Executor.SetAddresses(advertise.Addr(), r.dataPath)
	m := &membership{
		node: n, cfg: &n.cfg, log: n.cfg.Log, addr: r.addr, remotes: newRemotes(n.newLuck(), r.remotes...), luck: n.newLuck(),
		stop: make(chan struct{}), ready: make(chan struct{}), ended: make(chan struct{}),
		changed: make(chan struct{}, 1), swapped: make(chan struct{}),
	}
	m.client = manager.Client{RPC: &rpc.Client{Dial: n.cfg.Network.Dial, TLS: m.clientTLS, Idle: keepTime}}
	if len(r.chain) > 0 {
		id, err := r.identity()
		m.held, m.err = id, err
	}
	luck := n.newLuck()
	m.agent = agent.New(agent.Config{
		Dispatcher: &dispatcher{membership: m}, Executor: n.cfg.Executor, Hostname: n.cfg.Name, Log: n.cfg.Log,
		Luck: luck.Int64N, TLSInfo: m.tlsInfo, OnSession: m.onSession, Describe: n.cfg.Times.Describe,
	})
	return m
}

// cancel has the membership end.
func (m *membership) cancel() { m.once.Do(func() { close(m.stop) }) }

// run is the whole of it.
func (m *membership) run(ctx context.Context) {
	defer close(m.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case <-m.stop:
			return errStopped
		case <-ctx.Done():
			return nil
		}
	})
	err := m.live(ctx)
	if err != nil {
		cancel()
	}
	if stopped := g.Wait(); stopped != nil {
		err = stopped
	}
	m.client.RPC.Close()
	if err != nil && !errors.Is(err, errStopped) {
		m.log.Info("swarm node ended", "node", m.cfg.Name, "err", err)
		m.mu.Lock()
		m.err = err
		m.mu.Unlock()
	}
}

var errStopped = errors.New("stopped")

// live gets a certificate if there is none, and works until ctx ends.
func (m *membership) live(ctx context.Context) error {
	if err := m.failure(); err != nil {
		return err
	}
	if m.identity() == nil {
		if err := m.enrol(ctx); err != nil {
			return err
		}
	}
	if m.identity().NotAfter.Before(m.cfg.Now()) {
		return ErrExpired
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.cfg.Executor.Run(ctx) })
	g.Go(func() error { return m.agent.Run(ctx) })
	g.Go(func() error { return m.renewals(ctx) })
	g.Go(func() error { return m.manage(ctx) })
	g.Go(func() error { m.prepare(ctx); return nil })
	m.logs(ctx)
	return g.Wait()
}

// prepare waits until the node takes part: its agent is registered, and its manager, if it is to have one, is one of them.
func (m *membership) prepare(ctx context.Context) {
	select {
	case <-m.agent.Ready():
	case <-ctx.Done():
		return
	}
	for m.identity().Role == ca.Manager && !m.managing() {
		_, swapped := m.observe()
		select {
		case <-swapped:
		case <-ctx.Done():
			return
		}
	}
	close(m.ready)
}

// identity is the certificate of the moment; nil: there is none yet.
func (m *membership) identity() *ca.Identity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

// observe returns the certificate, and a channel that closes when that, or whether a manager works, changes.
func (m *membership) observe() (*ca.Identity, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held, m.swapped
}

// wake tells those who observe. The caller holds mu.
func (m *membership) wake() {
	close(m.swapped)
	m.swapped = make(chan struct{})
}

// failure is why the membership ended.
func (m *membership) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *membership) clientTLS() *tls.Config { return m.identity().ClientTLS(m.cfg.Now) }

// tlsInfo tells managers what the node trusts, and who signed its certificate: a rotation of the root waits for that (W17).
func (m *membership) tlsInfo() *swarmapi.NodeTLSInfo {
	id := m.identity()
	return &swarmapi.NodeTLSInfo{
		TrustRoot: id.Root(), CertIssuerSubject: id.Issuer().RawSubject, CertIssuerPublicKey: id.Issuer().RawSubjectPublicKeyInfo,
	}
}

// pickManager chooses whom the agent talks to: the node's own manager, or any.
func (m *membership) pickManager() string {
	if m.managing() {
		return m.addr
	}
	return m.remotes.pick(m.addr)
}

// onSession takes up what a manager tells the node.
func (m *membership) onSession(s *swarmapi.SessionMessage) {
	addrs := m.remotes.set(s.Managers)
	m.node.disk.change(func(r *record) { r.remotes = addrs })
	if len(s.RootCA) > 0 {
		m.trust(s.RootCA)
	}
	if s.Node == nil {
		return
	}
	role := ca.Worker
	if s.Node.Role == swarmapi.NodeRoleManager {
		role = ca.Manager
	}
	if s.Node.Certificate.Status.State == swarmapi.IssuanceStateRotate || role != m.identity().Role {
		m.wantCertificate()
	}
}

// wantCertificate has the certificate renewed now.
func (m *membership) wantCertificate() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}
