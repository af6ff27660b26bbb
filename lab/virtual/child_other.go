//go:build !faketime || !unix

package virtual

import (
	"context"
	"errors"
)

// Begin prepares a program that is built for virtual time. This one is not: it fails if a Command runs it.
func Begin() (context.Context, error) {
	child, err := checkChild()
	if child && err == nil {
		err = errors.New("this program is not built for virtual time: build it with CGO_ENABLED=0, -tags faketime and -ldflags=-checklinkname=0")
	}
	return context.Background(), err
}
