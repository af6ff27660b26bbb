package shell

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// Exit statuses of curl for files of certificates.
const (
	curlOwnCertificate = 58
	curlAuthorities    = 77
)

// secure reads which certificates curl shows and trusts, as -k, --cert, --key and --cacert say; 0: it could.
func (t *curl) secure() (code int) {
	t.tls = &tls.Config{InsecureSkipVerify: t.opts.has("k", "insecure")} //nolint:gosec // the user's -k
	if name, ok := t.opts.last("cacert"); ok {
		pem, err := t.Sys.read(absolute(t.Dir, name))
		t.tls.RootCAs = x509.NewCertPool()
		if err != nil || !t.tls.RootCAs.AppendCertsFromPEM(pem) {
			return t.complain(curlAuthorities, "error setting certificate verify locations: CAfile: "+name)
		}
	}
	name, ok := t.opts.last("E", "cert")
	if !ok {
		return 0
	}
	chain, err := t.Sys.read(absolute(t.Dir, name))
	if err != nil {
		return t.complain(curlOwnCertificate, fmt.Sprintf("could not load PEM client certificate, no such file: %s", name))
	}
	key := chain // one file may hold both
	if name, ok := t.opts.last("key"); ok {
		if key, err = t.Sys.read(absolute(t.Dir, name)); err != nil {
			return t.complain(curlOwnCertificate, fmt.Sprintf("unable to set private key file, no such file: %s", name))
		}
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return t.complain(curlOwnCertificate, "could not load PEM client certificate: "+err.Error())
	}
	t.tls.Certificates = []tls.Certificate{pair}
	return 0
}
