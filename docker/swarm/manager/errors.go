package manager

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// malformed says that bytes are no message of the method's type.
func malformed(err error) error {
	return status.Errorf(codes.InvalidArgument, "malformed request: %v", err)
}
