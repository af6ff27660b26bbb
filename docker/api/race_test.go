//go:build race

package api

// raced tells that the race detector watches, which makes the server slow.
const raced = true
