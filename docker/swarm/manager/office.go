package manager

import (
	"context"

	"github.com/moby/swarmkit/v2/api"
)

// authority is swarmkit's certificate authority as its callers see it.
type authority interface {
	api.CAServer
	api.NodeCAServer
}

func (o *office) authority() authority                   { return o.ca }
func (o *office) dispatch() api.DispatcherServer         { return o.dispatcher }
func (o *office) resources() api.ResourceAllocatorServer { return o.resource }

// on makes a method of an office of one of its parts.
func on[S, Q, A any, PQ interface {
	*Q
	message
}, PA interface {
	*A
	message
}](part func(*office) S, f func(S, context.Context, PQ) (PA, error)) func(context.Context, *office, []byte) ([]byte, error) {
	g := serve(f)
	return func(ctx context.Context, o *office, b []byte) ([]byte, error) { return g(ctx, part(o), b) }
}
