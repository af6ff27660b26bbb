// Package consensus is what the managers of a swarm agree with: raft over mutual TLS, on port 2377 of their hosts'
// simulated addresses (W16, W18, W19).
//
// A Node is one manager: raft, its log in a Storage that the host keeps while the manager's process comes and goes, and
// a Machine that commands are applied to. Members join and are removed by configuration changes; proposals of followers
// are handed to the leader. The same port takes whatever other methods the control plane has (Config.Methods).
//
// The algorithm is go.etcd.io/etcd/raft/v3, the very module that swarmkit and dockerd run: its elections, its CheckQuorum
// and its log are what people see in Docker. It is Apache-2.0, released and maintained by the etcd project, and only a
// state machine: it opens nothing and starts nothing, so that the wire, the clock and the goroutines are ours. Its
// successor, go.etcd.io/raft/v3, cannot be in one program with swarmkit's types: both register the same protocol buffers. hashicorp/raft (MPL-2.0) would have brought a transport
// and stores of its own, and other timeouts than Docker's. What is random about elections is drawn by the library and
// does not follow a lab's seed.
package consensus
