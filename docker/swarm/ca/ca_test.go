package ca_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/swarm/ca"
)

var start = time.Date(2017, 3, 1, 12, 0, 0, 0, time.UTC)

func luck(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func newAuthority(t *testing.T, cluster string, seed uint64) *ca.Authority {
	t.Helper()
	a, err := ca.New(ca.Config{Cluster: cluster}, start, luck(seed))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// join gives a node a certificate at a time.
func join(t *testing.T, a *ca.Authority, node string, role ca.Role, at time.Time) (id *ca.Identity, chain []byte) {
	t.Helper()
	l := luck(uint64(len(node)) + uint64(node[0])<<8)
	key, request, err := ca.NewRequest(l)
	if err != nil {
		t.Fatal(err)
	}
	if chain, err = a.Issue(request, node, role, at, l); err != nil {
		t.Fatal(err)
	}
	if id, err = ca.NewIdentity(key, chain, a.Root()); err != nil {
		t.Fatal(err)
	}
	return id, chain
}

// shake lets a client and a server meet, and returns what the server sees and the client says.
func shake(t *testing.T, client, server *tls.Config) (seen tls.ConnectionState, clientErr error) {
	t.Helper()
	c, s := net.Pipe()
	done := make(chan struct{})
	srv := tls.Server(s, server)
	go func() {
		if srv.Handshake() == nil {
			_, _ = srv.Write([]byte("x")) // a client that refuses is gone by now
		}
		s.Close()
		close(done)
	}()
	conn := tls.Client(c, client)
	_, clientErr = conn.Read(make([]byte, 1)) // TLS 1.3: the server's refusal comes after the client's handshake
	c.Close()
	<-done
	return srv.ConnectionState(), clientErr
}

func clock(at time.Time) func() time.Time { return func() time.Time { return at } }

func TestSameLuckSameAuthority(t *testing.T) {
	a, b := newAuthority(t, "c1", 1), newAuthority(t, "c1", 1)
	if !bytes.Equal(a.Root(), b.Root()) || a.Token(ca.Worker) != b.Token(ca.Worker) {
		t.Error("the same luck at the same time made two authorities")
	}
	if c := newAuthority(t, "c1", 2); bytes.Equal(a.Root(), c.Root()) || a.Token(ca.Worker).Secret == c.Token(ca.Worker).Secret {
		t.Error("other luck made the same authority")
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := ca.New(ca.Config{}, start, luck(1)); err == nil {
		t.Error("New without a cluster = nil")
	}
	if _, err := ca.New(ca.Config{Cluster: "c", Life: time.Minute}, start, luck(1)); err == nil {
		t.Error("W16: New with certificates of a minute = nil")
	}
}

func TestCertificates(t *testing.T) {
	a := newAuthority(t, "cluster1", 1)
	root := parse(t, a.Root())
	if root.Subject.CommonName != "swarm-ca" || !root.NotAfter.Equal(start.Add(20*365*24*time.Hour)) || !root.IsCA {
		t.Errorf("W16: root is %s until %v", root.Subject, root.NotAfter)
	}
	id, chain := join(t, a, "node1", ca.Manager, start)
	leaf := parse(t, chain)
	if got, want := leaf.Subject.String(), "CN=node1,OU=swarm-manager,O=cluster1"; got != want {
		t.Errorf("W16: subject is %s; want %s", got, want)
	}
	if !leaf.NotBefore.Equal(start.Add(-time.Hour)) || !leaf.NotAfter.Equal(start.Add(90*24*time.Hour)) || leaf.IsCA {
		t.Errorf("W16: valid from %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
	if want := (ca.Subject{Node: "node1", Role: ca.Manager, Cluster: "cluster1"}); id.Subject != want {
		t.Errorf("Subject = %v; want %v", id.Subject, want)
	}
}

func parse(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRenewAt(t *testing.T) {
	l, life := luck(1), 100*time.Hour
	var low, high bool
	for range 1000 {
		d := ca.RenewAt(start, start.Add(life), l).Sub(start)
		if d < 50*time.Hour || d > 80*time.Hour {
			t.Fatalf("W16: renewed after %v of %v", d, life)
		}
		low, high = low || d < 53*time.Hour, high || d > 77*time.Hour
	}
	if !low || !high {
		t.Error("W16: the moments do not fill the range")
	}
}

func TestTokens(t *testing.T) {
	a, other := newAuthority(t, "c1", 1), newAuthority(t, "c2", 2)
	worker, manager := a.Token(ca.Worker), a.Token(ca.Manager)
	if worker.Digest != manager.Digest || worker.Secret == manager.Secret {
		t.Errorf("W14: tokens are %s and %s", worker, manager)
	}
	if n := len(worker.String()); n != len("SWMTKN-1-")+50+1+25 {
		t.Errorf("W14: a token has %d characters", n)
	}
	if err := manager.CheckRoot(a.Root()); err != nil {
		t.Errorf("CheckRoot = %v", err)
	}
	if err := manager.CheckRoot(other.Root()); err == nil || !strings.HasPrefix(err.Error(), "remote CA does not match fingerprint. Expected: ") {
		t.Errorf("CheckRoot of a foreign root = %v", err)
	}
}

func TestParseToken(t *testing.T) {
	good := newAuthority(t, "c1", 1).Token(ca.Worker).String()
	zs := "SWMTKN-1-" + strings.Repeat("z", 50) + "-" + strings.Repeat("0", 25)
	for _, text := range []string{
		"", "SWMTKN", good[1:], good + "0", good[:len(good)-1], strings.Replace(good, "SWMTKN-1", "SWMTKN-2", 1),
		strings.ToUpper(good), good[:20] + "+" + good[21:], zs, good[:59] + "_" + good[60:],
	} {
		if tok, err := ca.ParseToken(text); !errors.Is(err, ca.ErrInvalidToken) {
			t.Errorf("ParseToken(%q) = %v, %v; want %v", text, tok, err, ca.ErrInvalidToken)
		}
	}
	if tok, err := ca.ParseToken(good); err != nil || tok.String() != good {
		t.Errorf("ParseToken(%q) = %v, %v", good, tok, err)
	}
}

func FuzzParseToken(f *testing.F) {
	a, err := ca.New(ca.Config{Cluster: "c"}, start, luck(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a.Token(ca.Worker).String())
	f.Add("SWMTKN-1--")
	f.Add("SWMTKN-1-" + strings.Repeat("0", 50) + "-" + strings.Repeat("z", 25))
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := ca.ParseToken(text)
		if err != nil {
			return
		}
		if tok.String() != text {
			t.Errorf("ParseToken(%q).String() = %q", text, tok)
		}
	})
}

func TestMutualTLS(t *testing.T) {
	a, foreign := newAuthority(t, "c1", 1), newAuthority(t, "c1", 9)
	m1, _ := join(t, a, "m1", ca.Manager, start)
	m2, _ := join(t, a, "m2", ca.Manager, start)
	w1, _ := join(t, a, "w1", ca.Worker, start)
	spy, _ := join(t, foreign, "m2", ca.Manager, start)
	now, late := clock(start), clock(start.Add(91*24*time.Hour))
	joining, err := ca.JoinTLS(a.Root(), now)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name           string
		client, server *tls.Config
		text           string // of the client's error
	}{
		{"manager to manager", m2.ClientTLS(now), m1.ServerTLS(now), ""},
		{"worker to manager", w1.ClientTLS(now), m1.ServerTLS(now), ""},
		{"no certificate yet", joining, m1.ServerTLS(now), ""},
		{"fetching the root", ca.BootstrapTLS(), m1.ServerTLS(now), ""},
		{"manager to worker", m1.ClientTLS(now), w1.ServerTLS(now), "x509: certificate is valid for swarm-worker, w1, not swarm-manager"},
		{"foreign client", foreignClient(t, spy, now), m1.ServerTLS(now), "remote error: tls: "},
		{"foreign server", m1.ClientTLS(now), spy.ServerTLS(now), "x509: certificate signed by unknown authority"},
		{"expired", m1.ClientTLS(late), m2.ServerTLS(now), "x509: certificate has expired or is not yet valid"},
		{"expired client", m1.ClientTLS(now), m2.ServerTLS(late), "remote error: tls: "},
	} {
		_, got := shake(t, row.client, row.server)
		if (got == nil) != (row.text == "") || got != nil && !strings.Contains(got.Error(), row.text) {
			t.Errorf("W16: %s: %v; want %q", row.name, got, row.text)
		}
	}
}

// foreignClient is a client that trusts anyone, so that it is the server who refuses.
func foreignClient(t *testing.T, id *ca.Identity, now func() time.Time) *tls.Config {
	t.Helper()
	c := id.ClientTLS(now)
	c.InsecureSkipVerify = true
	return c
}

func TestAuthorize(t *testing.T) {
	a := newAuthority(t, "c1", 1)
	m1, _ := join(t, a, "m1", ca.Manager, start)
	w1, _ := join(t, a, "w1", ca.Worker, start)
	seen, _ := shake(t, w1.ClientTLS(clock(start)), m1.ServerTLS(clock(start)))
	want := ca.Subject{Node: "w1", Role: ca.Worker, Cluster: "c1"}
	if s, err := ca.Authorize(seen, "c1", ca.Worker, ca.Manager); err != nil || s != want {
		t.Errorf("Authorize = %v, %v; want %v", s, err, want)
	}
	if _, err := ca.Authorize(seen, "c1", ca.Manager); err == nil || !strings.Contains(err.Error(), "remote certificate not part of OUs: [swarm-manager]") {
		t.Errorf("W16: a worker where a manager is needed: %v", err)
	}
	if _, err := ca.Authorize(seen, "c2", ca.Worker); err == nil || !strings.Contains(err.Error(), "remote certificate not part of organization: c2") {
		t.Errorf("W16: of another organization: %v", err)
	}
	seen, _ = shake(t, ca.BootstrapTLS(), m1.ServerTLS(clock(start)))
	if _, err := ca.Authorize(seen, "c1", ca.Worker); err == nil || !strings.Contains(err.Error(), "no client certificates in request") {
		t.Errorf("W16: without a certificate: %v", err)
	}
}

func TestIssueRefuses(t *testing.T) {
	a := newAuthority(t, "c1", 1)
	l := luck(2)
	_, request, err := ca.NewRequest(l)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(request)
	block.Bytes[len(block.Bytes)-1] ^= 1
	for name, r := range map[string][]byte{"empty": nil, "another block": a.Root(), "a broken signature": pem.EncodeToMemory(block)} {
		if _, err := a.Issue(r, "n1", ca.Worker, start, l); err == nil {
			t.Errorf("Issue for %s = nil", name)
		}
	}
	if _, err := a.Issue(request, "", ca.Worker, start, l); err == nil {
		t.Error("Issue for no node = nil")
	}
}
