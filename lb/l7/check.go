package l7

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// Check says how the health of backends is looked at. Its zero value opens a connection every 2 seconds.
type Check struct {
	Path     string        // an HTTP request for it must be answered by a status from 200 to 399; empty: a connection is enough
	Host     string        // of that request; empty: the backend's address
	Interval time.Duration // 0: 2 s
	Timeout  time.Duration // 0: 1 s
	Rise     int           // that many in a row must succeed until a backend is up again; 0: 2
	Fall     int           // that many in a row must fail until it is down; 0: 3
}

func (c *Check) normalise() {
	if c.Interval <= 0 {
		c.Interval = 2 * time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Second
	}
	if c.Rise <= 0 {
		c.Rise = 2
	}
	if c.Fall <= 0 {
		c.Fall = 3
	}
}

// health is what the last checks of a backend say.
type health struct {
	down bool
	same int // checks in a row that said otherwise
}

// note takes in one check and tells whether it changes what is said of the backend.
func (h *health) note(ok bool, rise, fall int) (changed bool) {
	if ok != h.down { // as before
		h.same = 0
		return false
	}
	h.same++
	if h.down && h.same < rise || !h.down && h.same < fall {
		return false
	}
	h.down, h.same = !h.down, 0
	return true
}

// Watch looks at backends until ctx ends, and has the router ask only those that are up. It returns nil.
func (r *Router) Watch(ctx context.Context, c Check, backends []Backend) error {
	c.normalise()
	g, ctx := errgroup.WithContext(ctx)
	for _, b := range backends {
		g.Go(func() error {
			r.watch(ctx, c, b)
			return nil
		})
	}
	return g.Wait()
}

func (r *Router) watch(ctx context.Context, c Check, b Backend) {
	var h health
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for {
		err := r.probe(ctx, c, b.Addr)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.noteCheck(b, err)
		}
		if h.note(err == nil, c.Rise, c.Fall) {
			r.log.Info("backend changed", "backend", b.String(), "up", !h.down, "error", err)
			r.SetUp(b.Addr, !h.down)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// probe looks at one backend once.
func (r *Router) probe(ctx context.Context, c Check, addr netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := r.cfg.Dial(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if c.Path == "" {
		return nil
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+c.Path, nil)
	if err != nil {
		return err
	}
	if c.Host != "" {
		req.Host = c.Host
	}
	t := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("%s answers %s", addr, resp.Status)
	}
	return nil
}
