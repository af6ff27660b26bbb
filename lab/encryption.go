package lab

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

const (
	keyRotation = 12 * time.Hour // how often keys rotate unless the topology says otherwise (C12)
	keyCount    = 3              // how many are in use
)

// keyring is the keys of a swarm's encrypted overlays, and rotates them (C12). It reads no clock and takes no lock.
type keyring struct {
	luck *rand.Rand
	last uint32    // tag of the newest key
	keys []esp.Key // the oldest first
}

func newKeyring(seed uint64) *keyring {
	k := &keyring{luck: rand.New(rand.NewPCG(seed, 0x4b455953))}
	for range keyCount {
		k.add()
	}
	return k
}

// add makes a new key.
func (k *keyring) add() {
	k.last++
	key := esp.Key{Tag: k.last}
	for i := 0; i < len(key.Value); i += 8 {
		binary.BigEndian.PutUint64(key.Value[i:], k.luck.Uint64())
	}
	k.keys = append(k.keys, key)
}

// rotate adds a key and forgets the oldest: the primary key is one that all hosts have known since the last rotation.
func (k *keyring) rotate() {
	k.add()
	k.keys = slices.Delete(k.keys, 0, 1)
}

// ordered returns the keys, the primary one first: that is the middle one.
func (k *keyring) ordered() []esp.Key {
	return []esp.Key{k.keys[1], k.keys[0], k.keys[2]}
}

// encryption is what manages the keys of the lab's swarm, as the leader's key manager does.
type encryption struct {
	every time.Duration // between rotations

	mu   sync.Mutex
	ring *keyring // guarded by mu
}

// startEncryption gives the members of the swarm the keys of its encrypted overlays, and has them rotated.
func (l *Lab) startEncryption() error {
	if l.spec.Swarm == nil {
		return nil
	}
	e := &encryption{every: cmp.Or(l.spec.Swarm.KeyRotation, keyRotation), ring: newKeyring(derive(l.seed, "encryption keys"))}
	l.mu.Lock()
	l.encryption = e
	l.mu.Unlock()
	if err := l.shareKeys(e); err != nil {
		return err
	}
	l.running().spawn(func(ctx context.Context) error { return l.rotateKeys(ctx, e) })
	return nil
}

// rotateKeys rotates the keys whenever it is time, until ctx ends.
func (l *Lab) rotateKeys(ctx context.Context, e *encryption) error {
	tick := time.NewTicker(e.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := l.RotateEncryptionKeys(); err != nil {
				l.log.Warn("encryption keys were not rotated", "lab", l.spec.Name, "error", err)
			}
		}
	}
}

// RotateEncryptionKeys makes a new key for the encrypted overlays of the lab's swarm, forgets the oldest of the three, and has
// the hosts seal with the middle one (C12), as happens every 12 hours by itself. Nothing is lost: every host opens with all three.
func (l *Lab) RotateEncryptionKeys() error {
	l.mu.Lock()
	e := l.encryption
	l.mu.Unlock()
	if e == nil {
		return errors.New("rotate encryption keys: the lab has no swarm")
	}
	e.mu.Lock()
	e.ring.rotate()
	e.mu.Unlock()
	return l.shareKeys(e)
}

// shareKeys gives the keys to every host of the swarm.
func (l *Lab) shareKeys(e *encryption) error {
	e.mu.Lock()
	defer e.mu.Unlock() // held, so that hosts get rotations in their order
	var errs []error
	for _, c := range l.swarmControllers() {
		errs = append(errs, c.SetEncryptionKeys(e.ring.ordered()))
	}
	return errors.Join(errs...)
}

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
