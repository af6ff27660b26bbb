package node

// CertificatesDir is where dockerd keeps what Certificates returns.
const CertificatesDir = "/var/lib/docker/swarm/certificates"

// Certificates returns the files that a node of a swarm has in CertificatesDir, by name, as PEM: its certificate, its key, and the
// swarm's root certificate (W16). There are none before the node has a certificate, and after it has left.
func (d *Disk) Certificates() map[string][]byte {
	r, ok := d.read()
	if !ok || len(r.chain) == 0 {
		return nil
	}
	return map[string][]byte{"swarm-node.crt": r.chain, "swarm-node.key": r.key, "swarm-root-ca.crt": r.root}
}
