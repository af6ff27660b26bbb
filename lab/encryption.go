package lab

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// swarmControllers returns the network controllers of the swarm's hosts, by name.
func (l *Lab) swarmControllers() []*cnm.Controller {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*cnm.Controller
	for _, eng := range l.engines {
		if c := eng.Controller(); c.Directory() != nil {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *cnm.Controller) int { return cmp.Compare(a.Name(), b.Name()) })
	return all
}

// ESPKey is the key of what goes one way between two hosts of an encrypted overlay.
type ESPKey struct {
	Src netip.Addr `json:"src"`
	Dst netip.Addr `json:"dst"`
	SPI uint32     `json:"spi"`
	Key string     `json:"key"` // in hexadecimal digits, the salt behind the key, as ip xfrm state shows it
}

// UAT returns the key as a line of Wireshark's table esp_sa.
func (k ESPKey) UAT() string {
	return fmt.Sprintf(`"IPv4","%s","%s","0x%08x","AES-GCM with 8 octet ICV [RFC4106]","0x%s","NULL",""`, k.Src, k.Dst, k.SPI, k.Key)
}

// espKeys returns the keys of the encrypted overlays that there are and were, by hosts.
func (l *Lab) espKeys() []ESPKey {
	var all []ESPKey
	for _, c := range l.swarmControllers() {
		if c.ESP() == nil {
			continue
		}
		for _, sa := range c.ESP().Past() {
			all = append(all, ESPKey{sa.Src, sa.Dst, sa.SPI, hex.EncodeToString(sa.KeyMaterial())})
		}
	}
	slices.SortStableFunc(all, func(a, b ESPKey) int {
		return cmp.Or(a.Src.Compare(b.Src), a.Dst.Compare(b.Dst), cmp.Compare(a.SPI, b.SPI), cmp.Compare(a.Key, b.Key))
	})
	return slices.Compact(all) // both ends have it
}
