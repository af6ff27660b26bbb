package gossip

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/netns"
)

// Port is where gossip is spoken, over UDP and TCP (O19).
const Port = 7946

// The tables that Docker has in each network (C7).
const (
	EndpointTable = "endpoint_table"     // endpoint id: names, service, addresses; feeds DNS and the balancers
	PeerTable     = "overlay_peer_table" // endpoint id: address, MAC, VTEP; feeds FDB and neighbours (O8)
)

// Limits of what a node takes from others and gives to them.
const (
	// MaxName is how many bytes the name of a node, network, table or key may have.
	MaxName = 128

	packetSize     = 1400    // of UDP payloads, as memberlist has it by default
	maxEntries     = 1 << 15 // per network, tombstones included
	maxAttachments = 1 << 16 // nodes times networks
	maxLtime       = 1 << 62 // a Lamport time from there on is no time but an attack on the clock
	maxFrame       = 1 << 16 // of a bulk sync
	maxFrames      = 1 << 12 // of one side of a bulk sync
	maxStreams     = 128     // that others have open here
	maxStreamBytes = 64 << 20
)

// Config says what a node is. NS, Name and Addr must be given.
type Config struct {
	NS   *netns.Namespace // whose sockets it uses; it must have Addr
	Name string           // unique in the cluster, MaxName bytes at most
	Addr netip.Addr       // IPv4: others reach it there, on Port
	Keys [][]byte         // as for SetKeys; none: nothing is encrypted
	Log  *slog.Logger     // nil: silent
	Luck *rand.Rand       // picks the peers of each round, used under the node's lock; nil: seeded by Name

	// SuspicionMult is memberlist's: a node is suspect for SuspicionMult probe intervals, longer in clusters of more
	// than ten, before it is dead (C1). 0: 4; 5 is what Docker 1.12 and 17.03 had.
	SuspicionMult int
	Times         Times
}

// Times are the intervals of a node. The zero value is Docker's.
type Times struct {
	Gossip    time.Duration // between rounds (C5); 0: 200 ms
	Probe     time.Duration // between probes, each waits half of it for an answer (C2); 0: 1 s
	PushPull  time.Duration // between exchanges of all members and their networks; 0: 30 s
	Sync      time.Duration // between bulk syncs of tables (C6); 0: 30 s
	Reconnect time.Duration // between calls on nodes that have failed (C10); 0: 1 s
	Rejoin    time.Duration // between calls on the peers of Join, if none of them is there (C10); 0: 60 s
	Tombstone time.Duration // for which a deletion is remembered (C8); 0: 30 min; 60 s in Docker 17.03
	Reap      time.Duration // between looks for tombstones whose time is up (C8); 0: 5 s
	Forget    time.Duration // after which a dead node is forgotten (C8); 0: 24 h
}

func (t Times) withDefaults() Times {
	for _, d := range []struct {
		at *time.Duration
		is time.Duration
	}{
		{&t.Gossip, 200 * time.Millisecond}, {&t.Probe, time.Second}, {&t.PushPull, 30 * time.Second},
		{&t.Sync, 30 * time.Second}, {&t.Reconnect, time.Second}, {&t.Rejoin, time.Minute},
		{&t.Tombstone, 30 * time.Minute}, {&t.Reap, 5 * time.Second}, {&t.Forget, 24 * time.Hour},
	} {
		if *d.at <= 0 {
			*d.at = d.is
		}
	}
	return t
}

func (c Config) check() error {
	if err := checkName("node", c.Name); err != nil {
		return err
	}
	if c.NS == nil {
		return fmt.Errorf("gossip of %s: it needs a namespace", c.Name)
	}
	if !c.Addr.Is4() || c.Addr.IsUnspecified() {
		return fmt.Errorf("gossip of %s: address %s: want the IPv4 address at which others reach the node", c.Name, c.Addr)
	}
	return nil
}

func checkName(what, name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("gossip: %s %.20q has %d bytes; want 1 to %d", what, name, len(name), MaxName)
	}
	return nil
}
