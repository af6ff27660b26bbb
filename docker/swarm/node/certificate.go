package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/manager"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// How often a node asks for its first certificate, and how long it waits in between: swarmkit's ca/config.go.
const (
	enrolTries = 5
	enrolPause = 2 * time.Second
	askTime    = 5 * time.Second // for which a manager may take to answer
)

// enrol gets the first certificate, by the token. It gives up after some tries, or when the patience has passed that Join was given.
func (m *membership) enrol(ctx context.Context) error {
	r, ok := m.node.disk.read()
	if !ok {
		return ErrNoSwarm
	}
	token, err := ca.ParseToken(r.token)
	if err != nil {
		return err
	}
	begun := time.Now()
	for try := 1; ; try++ {
		addr := m.remotes.pick()
		err := m.enrolAt(ctx, addr, token, r)
		m.remotes.observe(addr, err)
		if err == nil || ctx.Err() != nil || refused(err) || try >= enrolTries && time.Since(begun) >= m.patience {
			return dialed(err)
		}
		m.log.Info("no certificate yet", "node", m.cfg.Name, "manager", addr, "err", err)
		select {
		case <-time.After(enrolPause):
		case <-ctx.Done():
		}
	}
}

// refused tells a no from what may be otherwise in a moment.
func refused(err error) bool {
	if errors.Is(err, errFingerprint) {
		return true
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.NotFound:
		return true
	}
	return false
}

// errFingerprint is the error of Token.CheckRoot.
var errFingerprint = errors.New("the root is another one")

// dialed gives the error of a manager that cannot be reached the words that gRPC has for it.
func dialed(err error) error {
	var op *net.OpError
	if !errors.Is(err, rpc.ErrNotSent) || !errors.As(err, &op) {
		return err
	}
	return status.Errorf(codes.Unavailable, "connection error: desc = %q", "transport: Error while dialing: "+op.Error())
}

func (m *membership) enrolAt(ctx context.Context, addr string, token ca.Token, r record) error {
	short, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	stranger := manager.Client{RPC: &rpc.Client{Dial: m.cfg.Network.Dial, TLS: ca.BootstrapTLS}}
	defer stranger.RPC.Close()
	root, err := stranger.Root(short, addr)
	if err != nil {
		return err
	}
	if err := token.CheckRoot(root); err != nil {
		return textOnly{err, errFingerprint}
	}
	cfg, err := ca.JoinTLS(root, m.cfg.Now)
	if err != nil {
		return err
	}
	joiner := manager.Client{RPC: &rpc.Client{Dial: m.cfg.Network.Dial, TLS: func() *tls.Config { return cfg }}}
	defer joiner.RPC.Close()
	if m.turn != nil {
		select {
		case <-m.turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	key, chain, err := m.request(ctx, joiner, addr, &swarmapi.IssueNodeCertificateRequest{Token: r.token, Availability: r.availability})
	if err != nil {
		return err
	}
	return m.adopt(key, chain, root)
}

// textOnly is an error with a sentinel that its text does not show.
type textOnly struct {
	error
	sentinel error
}

// Unwrap implements errors.Is.
func (e textOnly) Unwrap() []error { return []error{e.error, e.sentinel} }

// request asks a manager for a certificate, and waits for it.
func (m *membership) request(ctx context.Context, c manager.Client, addr string, r *swarmapi.IssueNodeCertificateRequest) (key, chain []byte, err error) {
	key, r.CSR, err = ca.NewRequest(m.luck)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, max(requestTime, m.patience)) // to ask once more is to take another place
	defer cancel()
	got, err := c.Issue(ctx, addr, r)
	if err != nil {
		return nil, nil, err
	}
	if m.enrolled != nil {
		m.enrolled()
		m.enrolled = nil
	}
	for {
		answer, err := c.Certificate(ctx, addr, got.NodeID)
		switch {
		case status.Code(err) == codes.DeadlineExceeded && ctx.Err() == nil:
			continue // it is not there yet
		case err != nil:
			return nil, nil, err
		case answer.Status.State == swarmapi.IssuanceStateIssued && bytes.Equal(answer.Certificate.CSR, r.CSR):
			return key, answer.Certificate.Certificate, nil
		case answer.Status.State == swarmapi.IssuanceStateFailed:
			return nil, nil, fmt.Errorf("the certificate was refused: %s", answer.Status.Err)
		}
		if err := sleep(ctx, m.cfg.Times.Renewal/60); err != nil { // another request of this node's came first
			return nil, nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// adopt makes a certificate the node's.
func (m *membership) adopt(key, chain, root []byte) error {
	id, err := ca.NewIdentity(key, chain, root)
	if err != nil {
		return err
	}
	m.node.disk.change(func(r *record) { r.key, r.chain, r.root, r.token = key, chain, root, "" })
	m.mu.Lock()
	m.held = id
	m.wake()
	m.mu.Unlock()
	m.client.RPC.Forget("") // the next connections show it
	return nil
}

// trust takes up a new root, if that signed the certificate; it did when a rotation comes to its end.
func (m *membership) trust(root []byte) {
	if bytes.Equal(root, m.identity().Root()) {
		return
	}
	r, ok := m.node.disk.read()
	if !ok {
		return
	}
	if err := m.adopt(r.key, r.chain, root); err != nil {
		m.log.Debug("root of the swarm not taken up yet", "node", m.cfg.Name, "err", err)
	}
}

// renewals renews the certificate when it is due, and when a manager says so (W16).
func (m *membership) renewals(ctx context.Context) error {
	look := time.NewTicker(m.cfg.Times.Renewal)
	defer look.Stop()
	id := m.identity()
	due := ca.RenewAt(id.NotBefore, id.NotAfter, m.luck)
	for {
		wanted := false
		select {
		case <-m.changed:
			wanted = true
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
		if !wanted && m.cfg.Now().Before(due) {
			continue
		}
		if err := m.renew(ctx); err != nil {
			m.log.Info("certificate not renewed yet", "node", m.cfg.Name, "err", err)
			if sleep(ctx, m.cfg.Times.Renewal/60) == nil {
				m.wantCertificate()
			}
			continue
		}
		id = m.identity()
		due = ca.RenewAt(id.NotBefore, id.NotAfter, m.luck)
	}
}

// renew gets a new certificate from any manager but, if there are others, this node itself: it may just have been demoted.
func (m *membership) renew(ctx context.Context) error {
	addr := m.remotes.pick(m.addr)
	if addr == "" {
		return errNoManagers
	}
	key, chain, err := m.request(ctx, m.client, addr, &swarmapi.IssueNodeCertificateRequest{})
	m.remotes.observe(addr, err)
	if err != nil {
		return err
	}
	return m.adopt(key, chain, m.identity().Root())
}
