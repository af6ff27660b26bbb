// Package state is what the managers of a swarm agree on: swarmkit's MemoryStore, replicated by package consensus. The
// leader's changes go into raft's log as the store's actions, and are made when they are agreed on; the other members
// make them as the log reaches them. A snapshot is the store's own.
package state
