// Package l2switch is a learning Ethernet bridge: a standalone switch, and the Linux bridge inside a namespace.
//
// FDB holds the rules of learning and ageing; it reads no clock and takes no lock. Switch drives it: frames that a Port
// receives are bridged on the goroutine of whoever sent them, to completion, without a lock and without allocating.
// Without the spanning tree protocol there is nothing to run or close: an expired address is unknown when it is looked
// up, and Sweep removes such entries for whoever wants them gone.
//
// A loop of switches ends as drops for the hop limit: a flooded frame ages by more than one device where it is multiplied,
// so that a broadcast storm dies out, whoever's goroutine it runs on.
//
// A switch that Config tells to speaks the Rapid Spanning Tree Protocol while Run runs (package stp has its rules): until
// then, and where the tree does not pass, its ports drop what arrives. Otherwise the protocol's frames are flooded, as a
// Linux bridge does with STP off.
package l2switch
