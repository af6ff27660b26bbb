package manager

import (
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netsim-lab/netsim/docker/swarm/rpc"
)

// errNotLeading says that a request was handed on to a manager that does not lead, and was not carried out.
var errNotLeading = errors.New("rpc error: code = Unavailable desc = this manager does not lead the swarm")

// malformed says that bytes are no message of the method's type.
func malformed(err error) error {
	return status.Errorf(codes.InvalidArgument, "malformed request: %v", err)
}

// The parts of a status error's text.
const (
	statusPrefix = "rpc error: code = "
	statusMiddle = " desc = "
)

var statusCodes = func() map[string]codes.Code {
	all := make(map[string]codes.Code)
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		all[c.String()] = c
	}
	return all
}()

// revive makes of an error that has travelled as text the status error that it was. Others are left as they are.
func revive(err error) error {
	var remote rpc.RemoteError
	if !errors.As(err, &remote) {
		return err
	}
	rest, ok := strings.CutPrefix(string(remote), statusPrefix)
	if !ok {
		return err
	}
	name, text, ok := strings.Cut(rest, statusMiddle)
	code, known := statusCodes[name]
	if !ok || !known {
		return err
	}
	return status.Error(code, text)
}
