package api

import (
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/engine"
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

// errNoPage answers requests for what is not there.
var errNoPage = &apiError{http.StatusNotFound, "page not found"}

// errClass gives errors of the floors below their statuses.
var errClass = []struct {
	kind   error
	status int
}{
	{engine.ErrNotFound, http.StatusNotFound},
	{engine.ErrForbidden, http.StatusForbidden},
	{engine.ErrConflict, http.StatusConflict},
	{engine.ErrInvalid, http.StatusBadRequest},
	{engine.ErrNotModified, http.StatusNotModified},
	{engine.ErrUnsupported, http.StatusNotImplemented},
	{engine.ErrUnavailable, http.StatusServiceUnavailable},
}

// statusOf returns the status of the answer that is an error.
func statusOf(err error) int {
	var own *apiError
	if errors.As(err, &own) {
		return own.status
	}
	for _, c := range errClass {
		if errors.Is(err, c.kind) {
			return c.status
		}
	}
	if isUnavailable(err) {
		return http.StatusServiceUnavailable
	}
	return statusOfGRPC(err)
}

// statusOfGRPC returns the status for an error of the swarm's managers. What has no status of theirs is our own fault.
func statusOfGRPC(err error) int {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists:
		return http.StatusConflict
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
