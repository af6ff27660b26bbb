// Package lab runs what a topology describes: the cabling, the hosts and their Docker engines, the networks, services
// and containers, all in one process and without privileges. It plays the steps of a topology and judges what they
// show, serves a control socket through which other processes reach a running lab, and gives Go tests the same nodes
// to dial from, listen on, ping and capture.
//
// New takes a topology and starts nothing; Run brings the lab up, closes Ready, and returns when its context has ended
// and every goroutine, socket and file of the lab is gone. Start and Stop do both for callers that have other things
// to do in between.
//
// # Nodes
//
// Hosts and routers are called as the topology calls them, containers HOST/NAME and tasks SERVICE.SLOT. Lookup also
// takes a container's bare name where only one has it, the beginning of its id, and HOST/SERVICE.SLOT.
//
// # The name server
//
// Besides what the topology describes there is one node, "dns": the infrastructure's name server. On every segment
// (a switch's subnet in which a host has its address) it has the highest address that is free, such as
// 192.168.1.254, and hosts ask the one in the subnet of their eth0. It knows the names of hosts and routers, and those
// of the internet.
//
// # The internet
//
// Where a topology has an internet, the name server is the gateway to it, and a host or router without a default route
// gets one to the gateway. It translates the addresses of what goes out, as a customer's router does, and it is no way
// from one segment to another. Beyond it is the node "internet" with the addresses of the internet's names, which answer to
// ping and, where the topology says so, have a web server on port 80. Names with a delay of their own are at the end of a
// longer cable each: "internet-2" and so on, one for each delay.
//
// # From outside
//
// Programs of the machine reach into a lab by real sockets, on loopback unless another address is written down: an exposed
// port of a host is connected to from the name server, so that the host sees the packets of another machine; one of a
// container in the container itself; and a proxy (SOCKS5 and HTTP) connects and looks names up as the node that it enters
// at. All of them end with the lab.
package lab
