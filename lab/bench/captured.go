package bench

import (
	"context"
	"fmt"
	"io"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/netns"
)

// capturedShare names the share of the stream's wire frames that a capture kept up with.
const capturedShare = "% of the frames captured"

// captured measures a stream between two containers on a bridge while a capture of the receiver's interface is written to
// memory, every wire frame whole.
func captured(ctx context.Context, cfg Config) (v float64, extra map[string]float64, err error) {
	r := newRig(ctx)
	from, to := r.pair()
	err = r.use(func() (err error) {
		c := fabric.NewCapture(new(memory), fabric.CaptureConfig{})
		eth0, ok := to.Interface("eth0")
		if !ok {
			return fmt.Errorf("%s has no eth0", to.Name())
		}
		defer eth0.Taps().Add(c.Interface("eth0"))()
		r.run(c.Run)
		if v, err = stream(r.ctx, from, to, containerAddr(1), 1, cfg.Duration); err != nil {
			return err
		}
		s := c.Stats()
		extra = map[string]float64{capturedShare: 100 * float64(s.Written) / float64(max(1, s.Written+s.Dropped))}
		return nil
	})
	return v, extra, err
}

// memory is a file in memory that begins anew once it is large, so that a long capture does not fill the machine.
type memory struct{ b []byte }

const memorySize = 16 << 20

// Write implements io.Writer.
func (m *memory) Write(b []byte) (int, error) {
	if len(m.b)+len(b) > memorySize {
		m.b = m.b[:0]
	}
	m.b = append(m.b, b...)
	return len(b), nil
}

var _ io.Writer = (*memory)(nil)

// remembered makes two containers on one bridge whose interfaces an always-on ring looks at, as in a lab.
func (r *rig) remembered() (from, to *netns.Namespace) {
	from, to = r.pair()
	if r.err != nil {
		return from, to
	}
	ring := fabric.NewRing(fabric.RingConfig{})
	for _, c := range []*netns.Namespace{from, to} {
		i, _ := c.Interface("eth0")
		tap := ring.Interface(c.Name() + ":eth0")
		i.Taps().Add(tap)
		i.WatchDrops(tap)
	}
	return from, to
}

// unremembered is the peer of a row that measures the ring: the same without it.
func unremembered(ctx context.Context, cfg Config) (float64, error) {
	v, _, err := overTCP(containerAddr(1), (*rig).pair)(ctx, cfg)
	return v, err
}
