package ca

import (
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// The life of a node's certificate (W16).
const (
	DefaultLife = 90 * 24 * time.Hour
	MinLife     = time.Hour
)

// ErrJoinToken answers a node that joins with a token of another cluster, or with one that was rotated away.
var ErrJoinToken = errors.New("rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster")

// ErrNoRotation says that there is no rotation of the root that could be finished.
var ErrNoRotation = errors.New("the root of the swarm is not being rotated")

// ErrRotating says that a rotation of the root has not come to its end.
var ErrRotating = errors.New("the root of the swarm is being rotated already: wait until every node has its new certificate")

// Config says what an Authority is to be. The cluster's id must be set.
type Config struct {
	Cluster string        // the O of all certificates
	Life    time.Duration // of the nodes' certificates; zero: DefaultLife; at least MinLife
}

// State is an Authority as the managers of its swarm keep it, keys included. It can be turned into JSON and back.
type State struct {
	Cluster           string
	Life              time.Duration
	Root, RootKey     []byte // PEM
	Next, NextKey     []byte // PEM; empty unless the root is being rotated
	Cross             []byte // PEM: Next as Root signed it
	WorkerSecret      string
	ManagerSecret     string
	RotationsFinished uint64
}

// Authority is the certificate authority of one cluster. It is not safe to call at once from several goroutines.
type Authority struct {
	cluster  string
	life     time.Duration
	root     *root             // what nodes trust
	next     *root             // what signs during a rotation; nil without one
	cross    *x509.Certificate // next, signed by root
	worker   string            // secret of the token
	manager  string
	finished uint64 // rotations of the root
}

// New makes the authority of a new cluster.
func New(cfg Config, at time.Time, luck *rand.Rand) (*Authority, error) {
	if cfg.Life == 0 {
		cfg.Life = DefaultLife
	}
	if cfg.Cluster == "" {
		return nil, errors.New("new certificate authority: the cluster has no id")
	}
	if cfg.Life < MinLife {
		return nil, fmt.Errorf("new certificate authority: certificates that live %v: at least %v is needed", cfg.Life, MinLife)
	}
	r, err := newRoot(at, luck)
	if err != nil {
		return nil, fmt.Errorf("new certificate authority: %w", err)
	}
	return &Authority{cluster: cfg.Cluster, life: cfg.Life, root: r, worker: newSecret(luck), manager: newSecret(luck)}, nil
}

// Load makes an authority of its state.
func Load(s State) (*Authority, error) {
	a := &Authority{cluster: s.Cluster, life: s.Life, worker: s.WorkerSecret, manager: s.ManagerSecret, finished: s.RotationsFinished}
	if a.cluster == "" || a.life < MinLife || len(a.worker) != secretLength || len(a.manager) != secretLength {
		return nil, errors.New("load certificate authority: the state is not whole")
	}
	var err error
	if a.root, err = parseRoot(s.Root, s.RootKey); err != nil {
		return nil, fmt.Errorf("load certificate authority: root: %w", err)
	}
	if len(s.Next) == 0 {
		return a, nil
	}
	if a.next, err = parseRoot(s.Next, s.NextKey); err != nil {
		return nil, fmt.Errorf("load certificate authority: next root: %w", err)
	}
	cross, err := parseCertificates(s.Cross)
	if err != nil {
		return nil, fmt.Errorf("load certificate authority: cross-signed root: %w", err)
	}
	a.cross = cross[0]
	return a, nil
}

// State returns all there is to know of the authority.
func (a *Authority) State() (State, error) {
	s := State{
		Cluster: a.cluster, Life: a.life, Root: encode(a.root.cert), WorkerSecret: a.worker, ManagerSecret: a.manager,
		RotationsFinished: a.finished,
	}
	var err error
	if s.RootKey, err = encodeKey(a.root.key); err != nil || a.next == nil {
		return s, err
	}
	s.Next, s.Cross = encode(a.next.cert), encode(a.cross)
	s.NextKey, err = encodeKey(a.next.key)
	return s, err
}

// Cluster is the id of the cluster.
func (a *Authority) Cluster() string { return a.cluster }

// Root is the certificate that nodes trust, in PEM: what docker swarm ca prints.
func (a *Authority) Root() []byte { return encode(a.root.cert) }

// Token is what a node joins with to get a role.
func (a *Authority) Token(r Role) Token {
	if r == Manager {
		return Token{Digest: a.root.digest(), Secret: a.manager}
	}
	return Token{Digest: a.root.digest(), Secret: a.worker}
}

// RotateToken replaces the token of one role; the other stays. Nodes that joined are not touched (W12).
func (a *Authority) RotateToken(r Role, luck *rand.Rand) Token {
	if r == Manager {
		a.manager = newSecret(luck)
	} else {
		a.worker = newSecret(luck)
	}
	return a.Token(r)
}

// CheckToken returns the role that a token gives. The error is ErrJoinToken.
func (a *Authority) CheckToken(text string) (Role, error) {
	t, err := ParseToken(text)
	if err != nil || t.Digest != a.root.digest() {
		return Worker, ErrJoinToken
	}
	for _, r := range []Role{Manager, Worker} {
		if subtle.ConstantTimeCompare([]byte(t.Secret), []byte(a.Token(r).Secret)) == 1 {
			return r, nil
		}
	}
	return Worker, ErrJoinToken
}

// RotateRoot begins to replace the root (W17). From now on certificates are signed by the new one, and come with its
// certificate as the old one signed it, so that nodes of both ages trust each other. The error is ErrRotating, or that of
// making a certificate.
func (a *Authority) RotateRoot(at time.Time, luck *rand.Rand) error {
	if a.next != nil {
		return ErrRotating
	}
	next, err := newRoot(at, luck)
	if err != nil {
		return fmt.Errorf("rotate the root: %w", err)
	}
	cross, err := crossSign(a.root, next, luck)
	if err != nil {
		return fmt.Errorf("rotate the root: %w", err)
	}
	a.next, a.cross = next, cross
	return nil
}

// Rotating tells whether the root is being replaced.
func (a *Authority) Rotating() bool { return a.next != nil }

// SignedByLatest tells whether a node's certificate (PEM, the node's own first) is of the root that signs now. A
// rotation may be finished when this holds for all nodes.
func (a *Authority) SignedByLatest(chain []byte) bool {
	certs, err := parseCertificates(chain)
	return err == nil && certs[0].CheckSignatureFrom(a.signer().cert) == nil
}

// FinishRotation makes the new root what nodes trust. Tokens name their root, so both are new as well. The error is
// ErrNoRotation.
func (a *Authority) FinishRotation(luck *rand.Rand) error {
	if a.next == nil {
		return ErrNoRotation
	}
	a.root, a.next, a.cross = a.next, nil, nil
	a.worker, a.manager = newSecret(luck), newSecret(luck)
	a.finished++
	return nil
}

func (a *Authority) signer() *root {
	if a.next != nil {
		return a.next
	}
	return a.root
}
