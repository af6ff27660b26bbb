// Package ca is what nodes need of certificates: the root, tokens and first certificate that a swarm begins with,
// requests, tokens and identities, and the TLS that is made of them (W14, W16). Who signs later is swarmkit's server, on the
// manager that leads.
//
// Everything here is a plain value: it reads no clock, draws no luck of its own, takes no lock and starts nothing. Two
// authorities made with the same luck at the same time are the same, byte for byte. That also means that the keys are
// as guessable as the seed they come from: they keep the nodes of a lab apart, and guard nothing beyond it.
//
// A node that joins asks any manager for the root over BootstrapTLS, compares it with the digest in its token
// (Token.CheckRoot), and sends a request (NewRequest) with the token over JoinTLS. With the certificate that it gets the
// node has an Identity, and speaks mutual TLS from then on.
package ca
