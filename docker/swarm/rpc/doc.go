// Package rpc carries the requests of a swarm's nodes: one request and one answer at a time on a TLS connection, each a
// frame with a length in front. It is what managers listen with on port 2377, for raft, for nodes that join, and for
// whatever else has a method of its own. A method may also answer with a stream of messages, which has a connection to
// itself.
//
// A connection that shows no certificate may call only what needs no role, with small frames. Nothing is trusted for
// its length: memory grows as bytes arrive. Only Server.Serve starts goroutines, and it returns after they have.
package rpc
