// Package dns is name resolution as containers see it: the embedded resolver that answers at 127.0.0.11, the zones of
// records it answers from, forwarding to upstream servers, a plain server for the lab's internet, and the stub resolver
// that reads /etc/hosts and /etc/resolv.conf inside a namespace.
//
// It opens no sockets of its own. Servers work over a net.PacketConn and a net.Listener they are given, clients over a
// DialFunc, so the same code runs on a simulated namespace and on loopback.
//
//   - Zone holds the records of one network; it is a plain value without lock or clock.
//   - SharedZone is a Zone that several resolvers read at once; Registry keeps the shared zones of an engine or cluster.
//   - Resolver is the embedded resolver of one container or sandbox.
//   - Static is an ordinary name server with fixed records, for the network outside the cluster.
//   - Query and Lookup ask one server; Client is the stub resolver of one namespace.
//   - FormatDig and FormatNslookup print replies in the layout of the tools.
package dns
