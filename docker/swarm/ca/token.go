package ca

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
)

// The shape of a token: swarmkit's ca/config.go.
const (
	tokenPrefix  = "SWMTKN-1-"
	base         = 36
	digestLength = 50 // characters of a SHA-256 digest in base 36
	secretLength = 25 // characters of 16 bytes in base 36
	secretBytes  = 16
)

// ErrInvalidToken is what ParseToken says of text that is no token, in Docker's words.
var ErrInvalidToken = errors.New("invalid join token")

// Token is what a node joins with: whom to trust, and the secret that gives it its role (W14).
type Token struct {
	Digest [sha256.Size]byte // of the root's certificate, in PEM
	Secret string            // 25 digits of base 36
}

// ParseToken reads a token. The error is ErrInvalidToken.
func ParseToken(text string) (Token, error) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(rest) != digestLength+1+secretLength || rest[digestLength] != '-' {
		return Token{}, ErrInvalidToken
	}
	digest, secret := rest[:digestLength], rest[digestLength+1:]
	if !isBase36(digest) || !isBase36(secret) {
		return Token{}, ErrInvalidToken
	}
	n, ok := new(big.Int).SetString(digest, base)
	if !ok || n.BitLen() > 8*sha256.Size {
		return Token{}, ErrInvalidToken
	}
	t := Token{Secret: secret}
	n.FillBytes(t.Digest[:])
	return t, nil
}

// String is the token as Docker prints it.
func (t Token) String() string {
	n := new(big.Int).SetBytes(t.Digest[:])
	return fmt.Sprintf("%s%0*s-%s", tokenPrefix, digestLength, n.Text(base), t.Secret)
}

// CheckRoot tells whether the root certificate that a manager sent is the one the token speaks of. The error has
// Docker's text.
func (t Token) CheckRoot(certificate []byte) error {
	if sha256.Sum256(certificate) != t.Digest {
		return fmt.Errorf("remote CA does not match fingerprint. Expected: %s", hex.EncodeToString(t.Digest[:]))
	}
	return nil
}

func isBase36(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') }) < 0
}

// newSecret draws the second half of a token.
func newSecret(luck *rand.Rand) string {
	var b [secretBytes]byte
	draw(luck, b[:])
	return fmt.Sprintf("%0*s", secretLength, new(big.Int).SetBytes(b[:]).Text(base))
}

// draw fills b with luck.
func draw(luck *rand.Rand, b []byte) {
	var word [8]byte
	for len(b) > 0 {
		binary.BigEndian.PutUint64(word[:], luck.Uint64())
		b = b[copy(b, word[:]):]
	}
}
