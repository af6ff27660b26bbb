package cnm

import (
	"fmt"

	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

// optEncrypted is the option that makes an overlay encrypted (X1).
const optEncrypted = "encrypted"

// EncryptionKey is a key of the swarm for its encrypted overlays.
type EncryptionKey = esp.Key

// SetEncryptionKeys gives the host the keys of the swarm's encrypted overlays, today three: keys[0] seals what leaves, all of
// them open what comes (X4). So a new key is to be given to all hosts before it is the first one of any (C12). A host that
// was given none joins no encrypted overlay (X10). What was counted under a key counts as long as the key stays, over networks
// that come and go. The address of the host's tunnels must be known: it is called after JoinCluster.
func (c *Controller) SetEncryptionKeys(keys []EncryptionKey) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.esp == nil {
		carrier, err := c.cfg.Host.ListenESP()
		if err != nil {
			return fmt.Errorf("encryption keys of %s: %w", c.cfg.Name, err)
		}
		c.esp = vxlan.NewESP(vxlan.ESPConfig{Name: c.cfg.Name + "/esp", Local: c.vtep, Seed: c.cfg.Seed, Carrier: carrier})
		carrier.Show(c.esp)
	}
	return c.esp.SetKeys(keys)
}

// ESP returns the host's IPsec; nil if the host was never given a key.
func (c *Controller) ESP() *vxlan.ESP {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.esp
}

func (c *Controller) hasKeys() bool {
	e := c.ESP()
	return e != nil && e.HasKeys()
}

// errNoKeys is X10.
func errNoKeys() error {
	return fail(ErrInvalid, "cannot join secure network: encryption keys not present")
}

// secureHost makes sure that there are associations with the host that a record of an encrypted network is on (X7). The
// caller holds mu.
func (o *overlay) secureHost(r Record) {
	if !o.n.Encrypted() || !r.VTEP.IsValid() {
		return
	}
	if _, ok := o.secured[r.Key]; ok {
		return
	}
	o.secured[r.Key] = r.VTEP
	if err := o.d.c.ESP().AddPeer(r.VTEP); err != nil {
		o.d.c.log.Warn("no encryption with a host", "host", o.d.c.cfg.Name, "peer", r.VTEP, "error", err)
	}
}

// leaveHost undoes secureHost. The caller holds mu.
func (o *overlay) leaveHost(r Record) {
	peer, ok := o.secured[r.Key]
	if !ok {
		return
	}
	delete(o.secured, r.Key)
	if err := o.d.c.ESP().RemovePeer(peer); err != nil {
		o.d.c.log.Warn("encryption with a host remains", "host", o.d.c.cfg.Name, "peer", peer, "error", err)
	}
}
