package consensus

import "crypto/tls"

func (n *Node) clientTLS() *tls.Config { return n.cfg.Identity().ClientTLS(n.cfg.Now) }

func (n *Node) serverTLS() *tls.Config { return n.cfg.Identity().ServerTLS(n.cfg.Now) }
