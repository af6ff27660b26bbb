//go:build faketime

package node

const virtual = true
