// Package swarm is the orchestrator of a Docker swarm in one place, in memory: nodes, networks with their VNIs and
// address pools, services with their virtual addresses and ports, tasks and the scheduler that spreads them.
//
// A Cluster decides and keeps books; what runs on a node is done by a Node, which the engine of that node provides. The
// nodes' network controllers learn of each other's endpoints through the Directory that the cluster has for each node.
package swarm
