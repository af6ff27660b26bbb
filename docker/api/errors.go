package api

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/image"
)

// apiError is an error with the status of its answer.
type apiError struct {
	status int
	text   string
}

// Error implements error.
func (e *apiError) Error() string { return e.text }

func invalid(format string, args ...any) error {
	return &apiError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &apiError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &apiError{http.StatusConflict, fmt.Sprintf(format, args...)}
}

// errNoPage answers requests for what is not there.
var errNoPage = &apiError{http.StatusNotFound, "page not found"}

// errClass gives errors of the floors below their statuses.
var errClass = []struct {
	kind   error
	status int
}{
	{cnm.ErrNotFound, http.StatusNotFound},
	{cnm.ErrForbidden, http.StatusForbidden},
	{cnm.ErrConflict, http.StatusConflict},
	{cnm.ErrInvalid, http.StatusBadRequest},
	{engine.ErrNotFound, http.StatusNotFound},
	{engine.ErrNotRunning, http.StatusConflict},
	{image.ErrReference, http.StatusBadRequest},
}

// statusOf returns the status of the answer that is an error.
func statusOf(err error) int {
	var own *apiError
	var name *engine.ConflictError
	var noImage *image.NotFoundError
	var noManifest *image.ManifestError
	switch {
	case errors.As(err, &own):
		return own.status
	case errors.As(err, &name):
		return http.StatusConflict
	case errors.As(err, &noImage), errors.As(err, &noManifest):
		return http.StatusNotFound
	}
	for _, c := range errClass {
		if errors.Is(err, c.kind) {
			return c.status
		}
	}
	return http.StatusInternalServerError
}
