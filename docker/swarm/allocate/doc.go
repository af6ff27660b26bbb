// Package allocate gives the networks, services, tasks and nodes of a swarm what they need of networks: subnets, VXLAN
// ids, virtual addresses and addresses. It is swarmkit's NetworkAllocator over package ipam, in the order of the calls, as
// dockerd's is over libnetwork (O1, O2, S1, I17).
//
// An Allocator is rebuilt by each new leader from what the objects of the store say that they have. It is a plain value:
// swarmkit's allocator, which calls it, does so from one goroutine.
package allocate
