package image

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

// sleep is coreutils' sleep: the sum of its arguments, each a number with an
// optional unit s, m, h or d, or infinity (A11). It is native so that a
// container that only sleeps costs one goroutine.
func sleep(ctx context.Context, p *Process) int {
	if len(p.operands()) == 0 {
		_, _ = fmt.Fprint(p.stderr(), "sleep: missing operand\nTry 'sleep --help' for more information.\n")
		return 1
	}
	var total float64
	for _, arg := range p.operands() {
		seconds, ok := parseInterval(arg)
		if !ok {
			_, _ = fmt.Fprintf(p.stderr(),
				"sleep: invalid time interval '%s'\nTry 'sleep --help' for more information.\n", arg)
			return 1
		}
		total += seconds
	}
	if !wait(ctx, clampSeconds(total)) {
		return exitTerminated
	}
	return 0
}

func parseInterval(s string) (seconds float64, ok bool) {
	unit := 1.0
	if n := len(s); n > 1 {
		if u, found := map[byte]float64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400}[s[n-1]]; found {
			s, unit = s[:n-1], u
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if (err != nil && !math.IsInf(v, 1)) || !(v >= 0) {
		return 0, false
	}
	return v * unit, true
}

// clampSeconds turns seconds into a duration; what is too long for one becomes
// the longest there is, 292 years.
func clampSeconds(s float64) time.Duration {
	if s >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}

// wait waits for d and returns false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
