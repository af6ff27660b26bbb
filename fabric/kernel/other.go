//go:build !linux

package kernel

import (
	"context"
	"fmt"
	"runtime"
)

func unable() error {
	return fmt.Errorf("%w: network namespaces take Linux, and this is %s", ErrUnable, runtime.GOOS)
}

// Check returns an error: there are neither namespaces nor TAP devices.
func Check() error { return unable() }

// Configure returns an error.
func Configure(string, Settings) error { return unable() }

// AddRoute returns an error.
func AddRoute(Route) error { return unable() }

// Namespace is a network namespace, of which there are none.
type Namespace struct{}

// NewNamespace returns an error.
func NewNamespace() (*Namespace, error) { return nil, unable() }

// OpenNamespace returns an error.
func OpenNamespace(string) (*Namespace, error) { return nil, unable() }

// Path returns nothing.
func (n *Namespace) Path() string { return "" }

// Do calls f.
func (n *Namespace) Do(f func() error) error { return f() }

// Run returns an error.
func (n *Namespace) Run(context.Context, Command) (int, error) { return 1, unable() }

// Close does nothing.
func (n *Namespace) Close() error { return nil }
