package ca

import (
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

// Config says what an Authority is to be. The cluster's id must be set.
type Config struct {
	Cluster string        // the O of all certificates
	Life    time.Duration // of the nodes' certificates; zero: DefaultLife; at least MinLife
}

// Authority is what begins a swarm: its root, its first two tokens, and the certificate of its first node. From then on the
// managers keep the root in the swarm's state, where swarmkit's server signs with it and rotates it. An Authority does not
// change.
type Authority struct {
	cluster string
	life    time.Duration
	root    *root
	worker  string // secret of the token
	manager string
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

// Key is the root's key, in PEM.
func (a *Authority) Key() ([]byte, error) { return encodeKey(a.root.key) }

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
