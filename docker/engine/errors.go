package engine

import (
	"errors"
	"fmt"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// Kinds of errors, for errors.Is; those of package cnm are among them. The text of an error is the one that Docker
// prints. An error of no kind is nobody's fault but the host's.
var (
	ErrNotFound    = cnm.ErrNotFound
	ErrForbidden   = cnm.ErrForbidden
	ErrConflict    = cnm.ErrConflict
	ErrInvalid     = cnm.ErrInvalid
	ErrNotModified = errors.New("not modified")        // it is as asked for already
	ErrUnsupported = errors.New("not implemented")     // Docker can, this engine cannot
	ErrUnavailable = errors.New("service unavailable") // not now
)

// ErrNotRunning is what errors about a container that must run, and does not, wrap beside ErrConflict.
var ErrNotRunning = errors.New("is not running")

// dockerError is an error with Docker's text, a kind, and what led to it, if that matters.
type dockerError struct {
	text  string
	kinds []error
}

// Error implements error.
func (e *dockerError) Error() string { return e.text }

// Unwrap returns the error's kinds.
func (e *dockerError) Unwrap() []error { return e.kinds }

// Errorf returns an error of a kind whose text is the format's alone.
func Errorf(kind error, format string, args ...any) error { return fail(kind, format, args...) }

func fail(kind error, format string, args ...any) error {
	return &dockerError{text: fmt.Sprintf(format, args...), kinds: []error{kind}}
}

// because is an error of a kind with the text of its cause.
func because(kind, cause error) error {
	return &dockerError{text: cause.Error(), kinds: []error{kind, cause}}
}

func errNoContainer(ref string) error { return fail(ErrNotFound, "No such container: %s", ref) }

func (c *Container) errNotRunning() error {
	return &dockerError{text: fmt.Sprintf("container %s is not running", c.id), kinds: []error{ErrConflict, ErrNotRunning}}
}

// ConflictError says that a container of that name is there.
type ConflictError struct{ Name, ID string }

// Error returns Docker's text (I32).
func (e *ConflictError) Error() string {
	return fmt.Sprintf("Conflict. The container name %q is already in use by container %q. "+
		"You have to remove (or rename) that container to be able to reuse that name.", "/"+e.Name, e.ID)
}

// Unwrap returns the error's kind.
func (e *ConflictError) Unwrap() error { return ErrConflict }
