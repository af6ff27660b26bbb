package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// When a certificate begins, and when in its life it is renewed (W16): swarmkit's ca/certificates.go and ca/config.go.
const (
	backdate    = time.Hour
	renewalFrom = 0.5
	renewalTo   = 0.8
)

// Role is what a node may do in the swarm. The zero value is a worker.
type Role uint8

// The roles.
const (
	Worker Role = iota
	Manager
)

// String is the OU of the role's certificates.
func (r Role) String() string {
	if r == Manager {
		return "swarm-manager"
	}
	return "swarm-worker"
}

// ParseRole reads an OU.
func ParseRole(ou string) (Role, error) {
	switch ou {
	case "swarm-manager":
		return Manager, nil
	case "swarm-worker":
		return Worker, nil
	}
	return Worker, fmt.Errorf("failed to parse role: %s", ou)
}

// NewRequest draws a key, and asks with it for a certificate. Both are PEM. The key stays with the node.
func NewRequest(luck *rand.Rand) (key, request []byte, err error) {
	k, err := newKey(luck)
	if err != nil {
		return nil, nil, fmt.Errorf("new certificate request: %w", err)
	}
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, k)
	if err != nil {
		return nil, nil, fmt.Errorf("new certificate request: %w", err)
	}
	key, err = encodeKey(k)
	return key, pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der}), err
}

// Issue answers a request with a node's certificate, in PEM, valid from an hour ago on.
func (a *Authority) Issue(request []byte, node string, role Role, at time.Time, luck *rand.Rand) ([]byte, error) {
	key, err := parseRequest(request)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate to node %s: %w", node, err)
	}
	if node == "" {
		return nil, errors.New("issue a certificate: the node has no id")
	}
	cert, err := sign(&x509.Certificate{
		SerialNumber: newSerial(luck),
		Subject:      pkix.Name{CommonName: node, OrganizationalUnit: []string{role.String()}, Organization: []string{a.cluster}},
		NotBefore:    at.UTC().Add(-backdate),
		NotAfter:     at.UTC().Add(a.life),
		DNSNames:     []string{role.String(), node}, // the name that a client asks for is the role
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},

		BasicConstraintsValid: true,
	}, a.root, key)
	if err != nil {
		return nil, err
	}
	return encode(cert), nil
}

func parseRequest(text []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != requestBlock {
		return nil, errors.New("no certificate request in PEM")
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	if err := r.CheckSignature(); err != nil {
		return nil, err
	}
	key, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not one of P-256")
	}
	return key, nil
}

// RenewAt draws the moment at which a certificate is to be renewed: somewhere between 50 and 80 % of its life, so that
// the nodes of a swarm do not all come at once (W16).
func RenewAt(notBefore, notAfter time.Time, luck *rand.Rand) time.Time {
	share := renewalFrom + (renewalTo-renewalFrom)*luck.Float64()
	return notBefore.Add(time.Duration(share * float64(notAfter.Sub(notBefore))))
}
