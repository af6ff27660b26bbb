package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// load is a load generator: it works against an address for some time.
type load func(ctx context.Context, from sockets, addr string, d time.Duration) (figures, error)

// figures are what a load generator measured.
type figures struct {
	Value float64            `json:"value"`
	Extra map[string]float64 `json:"extra,omitempty"`
}

// exchange is a load generator with the server that it wants. Both run in one process, over the sockets of two
// namespaces of netsim or of the kernel alike.
type exchange struct {
	// serve serves until ctx ends, and calls ready once it does.
	serve func(ctx context.Context, at sockets, ready func()) error
	drive load
}

// datagramPort is where the UDP servers listen.
const datagramPort = "7000"

var exchanges = map[string]exchange{
	"small":       {overDatagrams(acknowledge), small},
	"round-trips": {overDatagrams(echo), roundTrips},
	"connect":     {answerConns, connect},
}

func (x exchange) run(ctx context.Context, from, to sockets, addr string, d time.Duration) (figures, error) {
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- x.serve(serving, to, func() { close(ready) }) }()
	select {
	case err := <-ended:
		return figures{}, fmt.Errorf("server: %w", errors.Join(ctx.Err(), err))
	case <-ready:
	}
	f, err := x.drive(ctx, from, addr, d)
	cancel()
	if ended := <-ended; ended != nil {
		err = errors.Join(err, fmt.Errorf("server: %w", ended))
	}
	return f, err
}

// overDatagrams makes a server of what serves a UDP socket until that is closed.
func overDatagrams(serve func(pc net.PacketConn) error) func(context.Context, sockets, func()) error {
	return func(ctx context.Context, at sockets, ready func()) error {
		pc, err := at.ListenPacket("udp", ":"+datagramPort)
		if err != nil {
			return err
		}
		defer closeWith(ctx, pc)()
		ready()
		return serve(pc)
	}
}
