// Package manager is one manager of a swarm: the members' raft, the state that they agree on, and, on the one that leads,
// what acts on it: swarmkit's allocator, scheduler, orchestrators, dispatcher and certificate authority.
package manager
