//go:build !linux

package vxlan

// controlLen is 0: no control messages are read.
const controlLen = 0

// offload does nothing: datagrams are sent and received one at a time.
func (u *UDP) offload() {}

// datagramSize returns 0: one read is one datagram.
func datagramSize([]byte) int { return 0 }
