// Package node is a host's side of a swarm: what dockerd's cluster component is. A Node initialises or joins a swarm, and
// leaves it; while it is in one it runs a manager (package manager) if its certificate says so, and an agent that has the
// host's tasks carried out. All it knows is on a Disk, which the host keeps, so that one that was switched off comes back.
//
// Control, Resource and CA are the swarm's API as the host's Docker API serves it: on a manager they answer, here or at
// the leader; elsewhere their methods fail in Docker's words (W10).
package node
