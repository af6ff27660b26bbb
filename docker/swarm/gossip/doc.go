// Package gossip is the control plane between the nodes of a swarm: who is alive, who is on which network, and for each network
// tables of what its members have there. It is what libnetwork's NetworkDB is in Docker, over the sockets of a netns.Namespace,
// so that a cut cable is what makes a node fail.
//
// # Layers
//
// Membership is hashicorp/memberlist (SWIM): a probe a second, indirect probes by three others, suspicion, refutation with a higher
// incarnation, and news of all that on the back of packets (C1 to C3). Peers are picked at random; nothing measures how near they
// are (C14). Its Transport is ours: UDP packets and TCP streams on port 7946, sealed with AES-GCM. A packet carries its
// sender's session and a counter, and a stream's key comes from challenges of both sides, so that what is played again is
// refused as well as what is forged. Each refusal is counted by its Reason. A packet that the network itself has
// doubled counts as replayed.
//
// On top there are attachments (node X is on network N, or no longer) that go to all, and records (an entry of a table) that go
// to the members of their network only (C4). Both carry a Lamport time, and the later wins (C8). What a node owns is gone
// elsewhere as soon as the node is dead or has left (C9), and comes back with it by bulk sync. A node is the one authority on what it
// owns: if it hears of an entry of its own that it does not have, from a life before or played again after
// its tombstone was reaped, it says with a later time that there is none. NetworkDB does not.
//
// A Node is made by New and lives in Run. state holds the rules, and reads no clock; wire.go is the encoding of messages;
// seal.go and stream.go are the sealing; sync.go is bulk sync; digest.go finds who needs it; rounds.go is what happens every so often.
//
// # One update's way
//
// Node A calls Put("net", EndpointTable, "ep1", value). The entry gets the next Lamport time, A's watchers hear of it, and a record
// of some 130 bytes waits in the queue of the network. At the next round, within 200 ms or at once after quiet, up to three members of the network are
// picked and get what waits in packets of 1,400 bytes (C5), eight at most where Docker sends one. At B the packet is opened and taken by memberlist, which hands
// our part to the delegate: the message is parsed, the owner must be a live member of the network, and the time later than that of
// the entry that B has. Then B's watchers hear of it, each through a Watcher that keeps the latest of each entry
// and so never holds anything up; and the record goes into B's own queue. Each node sends it 4*ceil(log10(n+1)) times. With 50
// members all know it after four or five rounds, about a second (C15). Whoever was missed gets it by the bulk sync of each 30 s with
// one member of each network (C6), and passes on what was few. Who joins a network exchanges tables with eight of its members, and Docker with
// all: in a cluster that starts at once those would be as many streams as there are pairs. Records whose owners are not known
// yet wait for them (limbo.go). One, two and four seconds after it has joined something a node exchanges members and tables with somebody once
// more, where Docker waits 30 s.
//
// Who missed an update while everybody passed it on, as in a partition too short for anybody to be thought dead, does not wait for that bulk
// sync either: each answer to a probe carries digests of its sender's tables, and who has others exchanges them at once (digest.go).
// NetworkDB does not: there such an update is late by 30 s and more.
//
// # Keys
//
// SetKeys takes up to three: the first seals, all open (C12). A rotation puts the new key on all rings first, then makes it the
// first of each, and then takes the old one away; the nodes need not do each step at once.
//
// # What stays random
//
// Config.Luck decides which members a round picks. Memberlist's own choices (whom it probes and when) come from math/rand, and sessions and
// challenges from crypto/rand.
package gossip
