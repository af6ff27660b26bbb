package dockercli_test

import (
	"strings"
	"testing"
)

// An engine of 2017 has no answer to who waits for a container that is yet to run, but events. Its end comes by them, and nothing
// that looks for it is left, as TestMain sees, once docker run has returned.
func TestRunOnAnOldEngine(t *testing.T) {
	for _, row := range []struct {
		version, line string
		asks          string
		code          int
	}{
		{"1.26", "docker run -d --pull never busybox", "GET /events", 0},
		{"1.26", "docker run --pull never busybox", "GET /events", 9},
		{"1.29", "docker run --rm --pull never busybox", "GET /events", 9},
		{"1.30", "docker run --pull never busybox", "POST /containers/new/wait", 7},
		{"1.50", "docker run -d --pull never busybox", "POST /containers/new/wait", 0},
	} {
		e := newFakeEngine(t)
		e.version = row.version
		out, errOut, code := run(t, newHost(e), row.line, strings.NewReader("exit\n"))
		if code != row.code {
			t.Errorf("%s, %s: status %d, %q, %q; want %d", row.version, row.line, code, out, errOut, row.code)
		}
		if got := e.asked(); !strings.Contains(got, row.asks+"\n") {
			t.Errorf("%s, %s: no %s in\n%s", row.version, row.line, row.asks, got)
		}
	}
}
