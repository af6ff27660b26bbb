package bench

import (
	"context"
	"net"
)

// sockets is where the load generators open theirs: a *netns.Namespace, or the machine's kernel.
type sockets interface {
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
}

// machine opens the sockets of the kernel, those that listen in a network namespace that a file stands for; "": in that
// which the process is in.
type machine struct{ namespace string }

// Dial implements sockets.
func (m machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Listen implements sockets.
func (m machine) Listen(network, address string) (l net.Listener, err error) {
	err = m.enter(func() (err error) { l, err = net.Listen(network, address); return err })
	return l, err
}

// ListenPacket implements sockets.
func (m machine) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = m.enter(func() (err error) { c, err = net.ListenPacket(network, address); return err })
	return c, err
}

func (m machine) enter(do func() error) error {
	if m.namespace == "" {
		return do()
	}
	return inNamespace(m.namespace, do)
}

type closer interface{ Close() error }

// closeWith closes c once ctx ends, so that whoever waits for it stops. The caller calls the returned function when it
// is done with c; that closes it too.
func closeWith(ctx context.Context, c closer) (done func()) {
	stop := context.AfterFunc(ctx, func() { c.Close() }) //nolint:errcheck // nobody wants it any more
	return func() {
		stop()
		c.Close() //nolint:errcheck // likewise
	}
}
