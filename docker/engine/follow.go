package engine

import "context"

// Because returns a context whose sockets are followed because of what comes in on the connection, if that is followed.
func (c gatedConn) Because(ctx context.Context) context.Context {
	if b, ok := c.Conn.(interface {
		Because(context.Context) context.Context
	}); ok {
		return b.Because(ctx)
	}
	return ctx
}

// Follow has the packets followed that are sent from now on, if ctx is.
func (c gatedConn) Follow(ctx context.Context) {
	if f, ok := c.Conn.(interface{ Follow(context.Context) }); ok {
		f.Follow(ctx)
	}
}
