// Package stp has the rules of the Rapid Spanning Tree Protocol, IEEE 802.1D-2004 clause 17: which ports of a bridge
// forward, so that bridges that are cabled in loops carry frames along a tree.
//
// Bridge is a plain value: it reads no clock, takes no lock and starts nothing. It is told what arrives, which links
// are up and what time it is, and says what is to be sent, which ports change their state and whose addresses are to be
// forgotten. Time is an argument, counted from any moment that the caller chooses.
//
// Where the names of variables and states are not plain words they are the standard's, so that the code can be read
// beside its figures 17-13 to 17-23. A neighbour that speaks the protocol of 1998 (version 0) is answered in kind, port by
// port.
package stp
