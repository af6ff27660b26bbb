package iperf

import (
	"context"
	"sync"
	"time"
)

// session is a test that runs, at either end.
type session struct {
	p       *params
	sender  bool // this end sends
	streams []*stream
	out     *reporter
	start   time.Time
	quota   int64 // guarded by mu: bytes that may still be sent; less than 0: any number
	mu      sync.Mutex
	spent   chan struct{} // closed when the quota is used up
	once    sync.Once
}

func newSession(p *params, sender bool, out *reporter) *session {
	s := &session{p: p, sender: sender, out: out, quota: -1, spent: make(chan struct{})}
	switch {
	case p.Num > 0:
		s.quota = p.Num
	case p.Blocks > 0:
		s.quota = p.Blocks * int64(p.Len)
	}
	return s
}

// more takes a block from the quota.
func (s *session) more(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quota < 0 {
		return true
	}
	if s.quota == 0 {
		s.once.Do(func() { close(s.spent) })
		return false
	}
	s.quota = max(s.quota-int64(n), 0)
	return true
}

// run moves data until ctx ends, and reports on it meanwhile; it returns when all streams are at rest.
func (s *session) run(ctx context.Context) {
	s.start = time.Now()
	var wg sync.WaitGroup
	for _, st := range s.streams {
		if s.sender {
			wg.Go(func() { st.send(ctx, s.p, s.more) })
		} else {
			wg.Go(func() { st.receive(ctx, s.p) })
		}
	}
	s.out.begin(s)
	if s.p.Omit > 0 && wait(ctx, time.Duration(s.p.Omit*float64(time.Second))) {
		s.start = time.Now()
		for _, st := range s.streams {
			st.omit()
		}
	}
	s.report(ctx)
	wg.Wait()
}

// report reports on each interval until ctx ends.
func (s *session) report(ctx context.Context) {
	var tick <-chan time.Time
	if s.out.interval > 0 {
		t := time.NewTicker(s.out.interval)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-tick:
			s.out.intervalOf(s, time.Since(s.start).Seconds())
		case <-ctx.Done():
			s.out.rest(s, time.Since(s.start).Seconds())
			return
		}
	}
}

// results is what the other end is told.
func (s *session) results(took float64) *results {
	r := &results{}
	for _, st := range s.streams {
		r.Streams = append(r.Streams, st.result(took))
	}
	return r
}

// hangUp closes the streams.
func (s *session) hangUp() {
	for _, st := range s.streams {
		st.conn.Close() //nolint:errcheck // the test is over
	}
}
