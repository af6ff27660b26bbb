package node

// Disk is what a host keeps of its membership while it is off: the swarm's addresses, its certificate and key, and on a
// manager raft's log. The zero value is an empty one.
type Disk struct{}
