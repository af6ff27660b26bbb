package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// childEnv holds a task, as JSON, in the environment of a process that is the second one of a measurement.
const childEnv = "NETSIM_BENCH_CHILD"

// served tells that this program calls Child, so that it can be started as one.
var served atomic.Bool

// task is what a child does. Its standard output is one line, "ready" and an address, once it serves, and one with its
// figures when it is done; both are JSON. It ends when its standard input does.
type task struct {
	Role      string         `json:"role"`
	Addr      string         `json:"addr,omitempty"`      // what to dial
	Namespace string         `json:"namespace,omitempty"` // where the server's sockets are, a file that stands for it
	Remote    netip.AddrPort `json:"remote,omitzero"`
	Duration  time.Duration  `json:"duration,omitempty"`
}

// message is a line of a child's output.
type message struct {
	Ready   bool           `json:"ready,omitempty"`
	Addr    netip.AddrPort `json:"addr,omitzero"`
	Figures *figures       `json:"figures,omitempty"`
	Error   string         `json:"error,omitempty"`
}

// roles are what a child can be. Each calls ready once others may come; it returns nil figures if it only serves.
var roles = map[string]func(ctx context.Context, t task, ready func(netip.AddrPort)) (*figures, error){
	"small":       between(exchanges["small"]),
	"round-trips": between(exchanges["round-trips"]),
	"connect":     between(exchanges["connect"]),
	"ask": func(ctx context.Context, t task, _ func(netip.AddrPort)) (*figures, error) {
		f, err := ask(ctx, machine{}, t.Addr, t.Duration)
		return &f, err
	},
	"no-offload": func(_ context.Context, t task, _ func(netip.AddrPort)) (*figures, error) {
		return nil, withoutOffload(t.Addr)
	},
	"vxlan-receiver": vxlanReceiver,
}

// between runs an exchange between the network namespace that the process is in and another.
func between(x exchange) func(context.Context, task, func(netip.AddrPort)) (*figures, error) {
	return func(ctx context.Context, t task, _ func(netip.AddrPort)) (*figures, error) {
		f, err := x.run(ctx, machine{}, machine{t.Namespace}, t.Addr, t.Duration)
		return &f, err
	}
}

func isChild() bool { return os.Getenv(childEnv) != "" }

// Child is what main must call before anything else. If this process was started by Run as the second one of a
// measurement, Child does that work and returns true with the exit status to end with.
func Child() (status int, child bool) {
	served.Store(true)
	text := os.Getenv(childEnv)
	if text == "" {
		return 0, false
	}
	return runChild(text, os.Stdin, os.Stdout), true
}

func runChild(text string, in io.Reader, out io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, in) //nolint:errcheck // its end is all that counts
		cancel()
	}()
	enc := json.NewEncoder(out)
	f, err := do(ctx, text, func(a netip.AddrPort) {
		enc.Encode(message{Ready: true, Addr: a}) //nolint:errcheck // then nobody comes
	})
	last := message{Figures: f}
	if err != nil && ctx.Err() == nil {
		last = message{Error: err.Error()}
	}
	if enc.Encode(last) != nil || last.Error != "" {
		return 1
	}
	return 0
}

func do(ctx context.Context, text string, ready func(netip.AddrPort)) (*figures, error) {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return nil, fmt.Errorf("%s: %w", childEnv, err)
	}
	role := roles[t.Role]
	if role == nil {
		return nil, fmt.Errorf("%s: no role %q", childEnv, t.Role)
	}
	return role(ctx, t, ready)
}
