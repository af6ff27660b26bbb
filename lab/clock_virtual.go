//go:build faketime && unix

package lab

// Virtual tells whether this program's clock is virtual: it stands still while anything works, and jumps to the next timer
// when everything waits. Package lab/virtual runs such programs.
const Virtual = true
