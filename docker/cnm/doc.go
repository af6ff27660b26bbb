// Package cnm is Docker's container network model on top of emulated namespaces: a Controller per host has Networks, a
// Sandbox per container has an Endpoint on each network that the container is on, and drivers build what lies below out
// of bridges, veth pairs, routes and netfilter rules, with the names and addresses that Docker gives them.
//
//   - A bridge network is a bridge of the host with an address, its rules in the host's netfilter, and a veth pair for each
//     endpoint; published ports are DNAT rules and a forwarder that listens on the host, as docker-proxy does.
//   - An overlay network is a namespace of its own per host, with a bridge and a VXLAN tunnel to the other hosts; what is
//     where, the hosts tell each other through a Directory.
//   - A macvlan or ipvlan network is an interface of the host, a VLAN of it that the driver makes, or a dummy; each
//     endpoint stands on top of it, and what leads out is for the physical network to provide.
//   - The networks host and none are the host's own namespace, and nothing.
//
// A sandbox on a user-defined network has an embedded resolver at 127.0.0.11.
package cnm
