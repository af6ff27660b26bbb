package dockercli_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// An engine that is too busy to say its version at once says it before it is asked for more: no request goes out in a version
// that it may not speak.
func TestVersionOfABusyEngine(t *testing.T) {
	e := newFakeEngine(t)
	dial, dials := e.dial, new(atomic.Int64)
	e.dial = func(ctx context.Context) (net.Conn, error) {
		if dials.Add(1) == 1 {
			return nil, errors.New("too busy")
		}
		return dial(ctx)
	}
	if out, errOut, code := run(t, newHost(e), "docker network ls", nil); code != 0 || !strings.Contains(out, "bridge") {
		t.Fatalf("network ls = %d, %q, %q", code, out, errOut)
	}
	if got := e.asked(); got != "GET /networks" { // without the prefix of the version that the engine speaks
		t.Errorf("it asked\n%s", got)
	}
}
