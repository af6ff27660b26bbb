package ca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Subject is who a certificate says its owner is.
type Subject struct {
	Node    string // CN
	Role    Role   // OU
	Cluster string // O
}

// Identity is a node's certificate with its key, and the root it trusts. It does not change, and is safe to use at once.
type Identity struct {
	Subject
	NotBefore, NotAfter time.Time

	cert   tls.Certificate
	issuer *x509.Certificate
	root   []byte // PEM
	roots  *x509.CertPool
}

// Certificate is the certificate, with what stands between it and the root, and the key.
func (id *Identity) Certificate() tls.Certificate { return id.cert }

// Issuer is the certificate of who signed it. While the root is being rotated that is the new one, as the old has signed it.
func (id *Identity) Issuer() *x509.Certificate { return id.issuer }

// Root is the certificate that the node trusts, in PEM.
func (id *Identity) Root() []byte { return id.root }

// NewIdentity puts together a node's key, the certificate it was issued, and the root it trusts, all in PEM. It does not
// ask whether the certificate has expired; but a certificate that the root did not sign is refused.
func NewIdentity(key, chain, root []byte) (*Identity, error) {
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("new identity: %w", err)
	}
	subject, err := subjectOf(cert.Leaf)
	if err != nil {
		return nil, fmt.Errorf("new identity: %w", err)
	}
	id := &Identity{Subject: subject, NotBefore: cert.Leaf.NotBefore, NotAfter: cert.Leaf.NotAfter, cert: cert, root: root}
	if id.roots, err = pool(root); err != nil {
		return nil, fmt.Errorf("new identity: root: %w", err)
	}
	chains, err := parseCertificates(chain)
	if err != nil {
		return nil, fmt.Errorf("new identity: %w", err)
	}
	between := x509.NewCertPool()
	for _, c := range chains[1:] {
		between.AddCert(c)
	}
	found, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: id.roots, Intermediates: between, CurrentTime: id.NotAfter})
	if err != nil {
		return nil, fmt.Errorf("new identity: %w", err)
	}
	id.issuer = found[0][1]
	return id, nil
}

// ServerTLS is what a manager listens with. A client that shows a certificate must show one of this swarm; one that
// joins has none yet, and who serves it must ask Authorize before doing what needs a role. now is the clock; nil: time.Now.
func (id *Identity) ServerTLS(now func() time.Time) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{id.cert},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    id.roots,
		MinVersion:   tls.VersionTLS13,
		Time:         now,
	}
}

// ClientTLS is what a node calls a manager with: the other side must have the certificate of a manager of the same
// swarm. now is the clock; nil: time.Now.
func (id *Identity) ClientTLS(now func() time.Time) *tls.Config {
	cluster := id.Cluster
	return &tls.Config{
		Certificates: []tls.Certificate{id.cert},
		RootCAs:      id.roots,
		ServerName:   Manager.String(),
		MinVersion:   tls.VersionTLS13,
		Time:         now,
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := Authorize(cs, cluster, Manager)
			return err
		},
	}
}

// JoinTLS is what a node without a certificate calls a manager with, once it has the root (PEM). now is the clock; nil:
// time.Now.
func JoinTLS(root []byte, now func() time.Time) (*tls.Config, error) {
	roots, err := pool(root)
	if err != nil {
		return nil, fmt.Errorf("root of the swarm: %w", err)
	}
	return &tls.Config{RootCAs: roots, ServerName: Manager.String(), MinVersion: tls.VersionTLS13, Time: now}, nil
}

// BootstrapTLS is what a node fetches the root with. It trusts anyone, so what it brings must go through
// Token.CheckRoot.
func BootstrapTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
}

// Authorize tells who is at the other end of a connection, and refuses who is not of the cluster or has none of the
// roles, with Docker's text (W16).
func Authorize(cs tls.ConnectionState, cluster string, roles ...Role) (Subject, error) {
	if len(cs.PeerCertificates) == 0 {
		return Subject{}, errors.New("rpc error: code = PermissionDenied desc = Permission denied: unauthorized peer role: " +
			"rpc error: code = PermissionDenied desc = no client certificates in request")
	}
	s, err := subjectOf(cs.PeerCertificates[0])
	if err != nil {
		return Subject{}, fmt.Errorf("rpc error: code = PermissionDenied desc = Permission denied: unauthorized peer role: %w", err)
	}
	if s.Cluster != cluster {
		return Subject{}, fmt.Errorf("rpc error: code = PermissionDenied desc = Permission denied: unauthorized peer role: "+
			"rpc error: code = PermissionDenied desc = Permission denied: remote certificate not part of organization: %s", cluster)
	}
	if !slices.Contains(roles, s.Role) {
		return Subject{}, fmt.Errorf("rpc error: code = PermissionDenied desc = Permission denied: unauthorized peer role: "+
			"rpc error: code = PermissionDenied desc = Permission denied: remote certificate not part of OUs: %v", roles)
	}
	return s, nil
}

func subjectOf(c *x509.Certificate) (Subject, error) {
	if len(c.Subject.OrganizationalUnit) == 0 {
		return Subject{}, errors.New("no OU found in certificate subject")
	}
	if len(c.Subject.Organization) == 0 {
		return Subject{}, errors.New("no organization found in certificate subject")
	}
	r, err := ParseRole(c.Subject.OrganizationalUnit[0])
	return Subject{Node: c.Subject.CommonName, Role: r, Cluster: c.Subject.Organization[0]}, err
}

func pool(text []byte) (*x509.CertPool, error) {
	certs, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p, nil
}
