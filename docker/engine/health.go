package engine

import (
	"bytes"
	"context"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/netsim-lab/netsim/docker/shell"
)

// Health checks' defaults and bounds, as Docker has them (S13).
const (
	healthInterval      = 30 * time.Second
	healthTimeout       = 30 * time.Second
	healthStartInterval = 5 * time.Second
	healthRetries       = 3
	healthKept          = 5    // results
	healthOutput        = 4096 // bytes of one
	healthShortest      = time.Millisecond
	healthEarly         = 20 * time.Millisecond // first of those with Config.EarlyHealth; each waits longer than the one before
)

// HealthStatus is what a health check says of a container.
type HealthStatus string

// The statuses.
const (
	Starting  HealthStatus = "starting"
	Healthy   HealthStatus = "healthy"
	Unhealthy HealthStatus = "unhealthy"
)

// HealthResult is one run of a health check.
type HealthResult struct {
	Start, End time.Time
	ExitCode   int // -1: it took too long
	Output     string
}

// Health is how a container's health checks went.
type Health struct {
	Status        HealthStatus
	FailingStreak int
	Log           []HealthResult // the last five
}

// checkHealth holds a health check against Docker's rules.
func checkHealth(h *Healthcheck) error {
	for _, d := range []struct {
		what string
		d    time.Duration
	}{{"Interval", h.Interval}, {"Timeout", h.Timeout}, {"StartPeriod", h.StartPeriod}, {"StartInterval", h.StartInterval}} {
		if d.d != 0 && d.d < healthShortest {
			return fail(ErrInvalid, "%s in Healthcheck cannot be less than 1ms", d.what)
		}
	}
	if h.Retries < 0 {
		return fail(ErrInvalid, "Retries in Healthcheck cannot be negative")
	}
	if len(h.Test) > 0 && h.Test[0] != "NONE" && h.Test[0] != "CMD" && h.Test[0] != "CMD-SHELL" {
		return fail(ErrInvalid, "Unknown healthcheck type in Test: %q: it is NONE, CMD or CMD-SHELL", h.Test[0])
	}
	return nil
}

// healthcheck returns the check of a container: the user's, with what it leaves open from the image's; nil: none.
func healthcheck(user, im *Healthcheck) *Healthcheck {
	var h Healthcheck
	switch {
	case user == nil && im == nil:
		return nil
	case user == nil:
		h = *im
	default:
		h = *user
		if im != nil && len(h.Test) == 0 {
			h = merged(h, *im)
		}
	}
	if len(h.Test) < 2 || h.Test[0] == "NONE" {
		return nil
	}
	return &h
}

// merged fills what is zero in a check with what the image says.
func merged(h, im Healthcheck) Healthcheck {
	h.Test = im.Test
	for _, f := range []struct{ to, from *time.Duration }{
		{&h.Interval, &im.Interval}, {&h.Timeout, &im.Timeout}, {&h.StartPeriod, &im.StartPeriod}, {&h.StartInterval, &im.StartInterval},
	} {
		if *f.to == 0 {
			*f.to = *f.from
		}
	}
	if h.Retries == 0 {
		h.Retries = im.Retries
	}
	return h
}

func or(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// monitor runs the health checks of a container. A nil one is that of a container without.
type monitor struct {
	c     *Container
	check Healthcheck
	early bool // see ContainerConfig.EarlyHealth

	mu      sync.Mutex
	status  HealthStatus   // guarded by mu
	streak  int            // guarded by mu
	results []HealthResult // guarded by mu
}

// Health returns how the container's health checks went in its current or last run; nil: it has none.
func (c *Container) Health() *Health {
	m := c.health
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Health{Status: m.status, FailingStreak: m.streak, Log: append([]HealthResult(nil), m.results...)}
}

// begin is the start of a run.
func (m *monitor) begin() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status, m.streak, m.results = Starting, 0, nil
}

// end is the end of a run: what does not run is not healthy.
func (m *monitor) end() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status = Unhealthy
}

// watch checks until the run has ended.
func (m *monitor) watch(r *run) {
	began := time.Now()
	timer := time.NewTimer(m.interval(began))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-r.life.Done():
			return
		}
		r.gate.pass()
		result := m.probe(r)
		if r.life.Err() != nil {
			return
		}
		m.note(result, began)
		timer.Reset(m.interval(began))
	}
}

// interval returns the time to the next check.
func (m *monitor) interval(began time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, interval := time.Since(began), or(m.check.Interval, healthInterval)
	switch {
	case m.status == Starting && since < m.check.StartPeriod:
		interval = or(m.check.StartInterval, healthStartInterval)
	case m.early && m.status == Starting && since < interval:
		interval -= since
	}
	if m.early && m.status == Starting && since < m.grace() { // then each failure counts, and three need three intervals (S13)
		return min(interval, max(since/4, healthEarly))
	}
	return interval
}

// grace returns for how long after the start a failure does not count.
func (m *monitor) grace() time.Duration {
	if m.early {
		return max(m.check.StartPeriod, or(m.check.Interval, healthInterval))
	}
	return m.check.StartPeriod
}

// probe runs the check once.
func (m *monitor) probe(r *run) HealthResult {
	timeout := or(m.check.Timeout, healthTimeout)
	ctx, cancel := context.WithTimeout(r.life, timeout)
	defer cancel()
	out := &limited{limit: healthOutput}
	argv := m.check.Test[1:]
	if m.check.Test[0] == "CMD-SHELL" {
		argv = []string{"/bin/sh", "-c", argv[0]}
	}
	result := HealthResult{Start: time.Now()}
	code, err := shell.RunArgs(ctx, r.sys, argv, shell.Stdio{Out: out, Err: out})
	result.End, result.ExitCode, result.Output = time.Now(), code, out.String()
	switch {
	case ctx.Err() != nil:
		result.ExitCode, result.Output = -1, "Health check exceeded timeout ("+timeout.String()+")"
	case err != nil:
		result.ExitCode, result.Output = -1, notExecutable("OCI runtime exec failed: exec failed: unable to start container process", argv[0])
	}
	return result
}

// note takes up a result. A failure while the container starts up does not count.
func (m *monitor) note(result HealthResult, began time.Time) {
	m.mu.Lock()
	m.results = append(m.results, result)
	m.results = m.results[max(0, len(m.results)-healthKept):]
	before := m.status
	retries := m.check.Retries
	if retries == 0 {
		retries = healthRetries
	}
	switch {
	case result.ExitCode == 0:
		m.streak, m.status = 0, Healthy
	case m.status == Starting && result.Start.Sub(began) < m.grace():
	default:
		if m.streak++; m.streak >= retries {
			m.status = Unhealthy
		}
	}
	now := m.status
	m.mu.Unlock()
	if now != before {
		m.c.event("health_status: "+string(now), nil)
	}
}

// limited keeps the first bytes of what is written.
type limited struct {
	mu    sync.Mutex
	buf   bytes.Buffer // guarded by mu
	limit int
}

// Write implements io.Writer. It never fails.
func (l *limited) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(b[:min(len(b), l.limit-l.buf.Len())])
	return len(b), nil
}

// String returns what was kept, as text.
func (l *limited) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buf.Bytes()
	for !utf8.Valid(b) && len(b) > 0 && len(l.buf.Bytes())-len(b) < utf8.UTFMax {
		b = b[:len(b)-1] // a character that was cut
	}
	return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
}
