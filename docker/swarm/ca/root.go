package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"time"
)

// What a root looks like (W16): swarmkit's ca/certificates.go.
const (
	rootName = "swarm-ca"
	rootLife = 20 * 365 * 24 * time.Hour
)

// The types of PEM blocks.
const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "EC PRIVATE KEY"
	requestBlock     = "CERTIFICATE REQUEST"
)

// root is a certificate that signs others, and its key.
type root struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newRoot(at time.Time, luck *rand.Rand) (*root, error) {
	key, err := newKey(luck)
	if err != nil {
		return nil, err
	}
	template := rootTemplate(at, luck)
	cert, err := sign(template, &root{cert: template, key: key}, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	return &root{cert: cert, key: key}, nil
}

func rootTemplate(at time.Time, luck *rand.Rand) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          newSerial(luck),
		Subject:               pkix.Name{CommonName: rootName},
		NotBefore:             at.UTC(),
		NotAfter:              at.UTC().Add(rootLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// sign makes a certificate of a template. Without luck of its own the signature is that of RFC 6979, which is the same
// for the same certificate.
func sign(template *x509.Certificate, by *root, key *ecdsa.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(nil, template, by.cert, key, by.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// digest is what tokens say of a root.
func (r *root) digest() [sha256.Size]byte { return sha256.Sum256(encode(r.cert)) }

// newKey draws a key of P-256. The standard library's own way takes no luck from outside.
func newKey(luck *rand.Rand) (*ecdsa.PrivateKey, error) {
	const tries = 64 // one in 2^32 fails
	var b [32]byte
	var err error
	for range tries {
		draw(luck, b[:])
		var key *ecdsa.PrivateKey
		if key, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), b[:]); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("draw a key: %w", err)
}

func newSerial(luck *rand.Rand) *big.Int {
	var b [16]byte
	draw(luck, b[:])
	b[0] = b[0]&0x7f | 0x40 // positive, and of full length: RFC 5280 section 4.1.2.2
	return new(big.Int).SetBytes(b[:])
}

func encode(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.Raw})...)
	}
	return out
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// parseCertificates reads all certificates of a PEM text; there is at least one.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != certificateBlock {
			return nil, fmt.Errorf("a PEM block is %q, not a certificate", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return out, nil
}
