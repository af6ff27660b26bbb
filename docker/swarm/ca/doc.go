// Package ca is the certificate authority of a swarm: its root, the certificates of its nodes, the tokens they join
// with, the rotation of all three, and the TLS that is made of them (W14, W16, W17).
//
// Everything here is a plain value: it reads no clock, draws no luck of its own, takes no lock and starts nothing. Two
// authorities made with the same luck at the same time are the same, byte for byte. That also means that the keys are
// as guessable as the seed they come from: they keep the nodes of a lab apart, and guard nothing beyond it.
//
// A node that joins asks any manager for the root over BootstrapTLS, compares it with the digest in its token
// (Token.CheckRoot), and sends a request (NewRequest) with the token over JoinTLS. The authority checks the token
// (Authority.CheckToken) and issues a certificate. With it the node has an Identity, and speaks mutual TLS from then on.
package ca
