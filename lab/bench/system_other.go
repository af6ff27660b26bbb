//go:build !linux

package bench

import "errors"

func withoutOffload(string) error { return errors.ErrUnsupported }

func inNamespace(string, func() error) error { return errors.ErrUnsupported }
