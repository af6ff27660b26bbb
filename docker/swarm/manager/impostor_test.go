package manager

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

// Write implements io.Writer.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) has(parts ...string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		n := 0
		for _, p := range parts {
			if strings.Contains(line, p) {
				n++
			}
		}
		if n == len(parts) {
			return true
		}
	}
	return false
}

// shows is a client that trusts anyone, so that it is the manager who refuses, and shows a certificate whoever is to have signed it.
func (h *host) shows(cert tls.Certificate) Client {
	cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	c := &rpc.Client{Dial: h.ns.Dial, TLS: func() *tls.Config { return cfg }}
	h.Cleanup(c.Close)
	return Client{c}
}

// issued is a certificate that an authority gave at a time.
func (h *host) issued(by *ca.Authority, node string, role ca.Role, at time.Time) tls.Certificate {
	h.Helper()
	key, request, err := ca.NewRequest(h.luck)
	if err != nil {
		h.Fatal(err)
	}
	return must(tls.X509KeyPair(must(by.Issue(request, node, role, at, h.luck)), key))
}

// selfMade is a certificate that says of itself what one of the swarm's says.
func selfMade(t *testing.T, node string, role ca.Role) tls.Certificate {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{role.String(), node},
		Subject:     pkix.Name{CommonName: node, OrganizationalUnit: []string{role.String()}, Organization: []string{"cluster1"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	return tls.Certificate{Certificate: [][]byte{must(x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key))}, PrivateKey: key}
}

// heavy sends a frame that says it is larger than any, and waits until the manager has closed the connection.
func (h *host) heavy(cfg *tls.Config, addr string) error {
	raw, err := h.ns.Dial(h.within(patience), "tcp", addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	c := tls.Client(raw, cfg)
	if _, err := c.Write([]byte{0xff, 0xff, 0xff, 0xff, 1, 0}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

// impostor is somebody who is refused.
type impostor struct {
	name  string
	try   func() error
	text  string // the end of the error; empty: there is none to be seen
	count func(Refusals) uint64
	log   []string // what stands in one line
}

// foreigners are those whose certificates are not the swarm's. w is a worker of it, whose host they have.
func foreigners(m, w *host) []impostor {
	foreign := must(ca.New(ca.Config{Cluster: "cluster1"}, time.Now(), w.luck))
	beat := func(cert tls.Certificate) func() error {
		return func() error {
			_, err := w.shows(cert).Heartbeat(w.within(patience), m.addr, &api.HeartbeatRequest{})
			return err
		}
	}
	const unknown = "remote error: tls: unknown certificate authority"
	log := []string{"connection refused", "192.168.1.2:", "certificate signed by unknown authority"}
	now := time.Now()
	return []impostor{
		{"a worker of another root", beat(w.issued(foreign, w.id.Node, ca.Worker, now)), unknown, handshake, log},
		{"a manager of another root", beat(w.issued(foreign, m.id.Node, ca.Manager, now)), unknown, handshake, log},
		{"a certificate made by its owner", beat(selfMade(w.T, m.id.Node, ca.Manager)), unknown, handshake, log},
		{"an expired certificate", beat(w.issued(w.authority, w.id.Node, ca.Worker, now.Add(-91*24*time.Hour))),
			"remote error: tls: expired certificate", handshake, []string{"connection refused", "certificate has expired"}},
		{"a wrong token", w.joins(m, foreign.Token(ca.Manager).String()), noToken, tokens, []string{"a node was refused", noToken}},
		{"no token", w.joins(m, ""), noToken, tokens, []string{"a node was refused", noToken}},
		{"a stranger's message larger than any", func() error { return w.heavy(w.joinTLS(), m.addr) }, "", oversized,
			[]string{"connection refused", rpc.ErrTooLarge.Error()}},
	}
}

// upstarts are what a worker does that only a manager may.
func upstarts(m, w *host) []impostor {
	call := func(method string) func() error {
		return func() error {
			_, err := w.client.RPC.Call(w.within(patience), m.addr, method, nil)
			return err
		}
	}
	log := func(method string) []string { return []string{"request refused", "192.168.1.2:", "method=" + method} }
	const noRole = "rpc error: code = PermissionDenied desc = Permission denied: unauthorized peer role: rpc error: code = PermissionDenied desc = " +
		"Permission denied: remote certificate not part of OUs: [swarm-manager]"
	return []impostor{
		{"the key of managers", call(methodUnlockKey), noRole, denied, log(methodUnlockKey)},
		{"the API", call(methodControl), noRole, denied, log(methodControl)},
		{"a request of somebody else", call(methodForward), noRole, denied, log(methodForward)},
		{"raft", call("raft.step"), noRole, denied, log("raft.step")},
		{"the API by way of a manager", func() error {
			_, err := m.perform(w.within(patience), caller{Subject: w.id.Subject, Remote: "by-way"}, methodControl, nil)
			return err
		}, "rpc error: code = PermissionDenied desc = Permission denied: unauthorized forwarded role, expecting: [swarm-manager]", denied,
			[]string{"a node was refused", "by-way"}},
		{"a message larger than any", func() error { return w.heavy(w.clientTLS(), m.addr) }, "", oversized,
			[]string{"connection refused", rpc.ErrTooLarge.Error()}},
	}
}

const noToken = "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster"

// joins asks for a certificate by a token.
func (h *host) joins(by *host, token string) func() error {
	return func() error {
		_, request, err := ca.NewRequest(h.luck)
		if err != nil {
			return err
		}
		stranger := &rpc.Client{Dial: h.ns.Dial, TLS: h.joinTLS}
		defer stranger.Close()
		_, err = Client{stranger}.Issue(h.within(patience), by.addr, &api.IssueNodeCertificateRequest{CSR: request, Token: token})
		return err
	}
}

// Who is not of the swarm, or wants more than it may, is refused with Docker's text, counted and logged, and the manager goes on
// (W15, W16).
func TestImpostors(t *testing.T) {
	l := newLab(t)
	j := &journal{}
	m := l.first(func(c *Config) { c.Log = slog.New(slog.NewTextHandler(j, nil)) })
	w := l.join(m, ca.Worker)
	for _, row := range append(foreigners(m, w), upstarts(m, w)...) {
		before := row.count(m.Refusals())
		if err := row.try(); row.text != "" && (err == nil || !strings.HasSuffix(err.Error(), row.text)) {
			t.Errorf("%s: %v; want %s", row.name, err, row.text)
		}
		l.eventually(row.name+" is counted", func() bool { return row.count(m.Refusals()) == before+1 })
		l.eventually(row.name+" is logged", func() bool { return j.has(row.log...) })
	}
	if err := m.WaitForLeader(l.within(patience)); err != nil || m.cluster().ID == "" {
		t.Errorf("WaitForLeader after all that = %v", err)
	}
}

func handshake(r Refusals) uint64 { return r.Handshake }
func denied(r Refusals) uint64    { return r.Denied }
func tokens(r Refusals) uint64    { return r.Tokens }
func oversized(r Refusals) uint64 { return r.Oversized }
