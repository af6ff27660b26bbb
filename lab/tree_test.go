package lab

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
)

// ringOf is three switches in a ring, with a second cable between two of them, and a host at each.
func ringOf(stp string) string {
	return fmt.Sprintf(`
netsim: 1
name: ring
fabric:
  switches: {s1: {%[1]s}, s2: {%[1]s}, s3: {%[1]s}}
  hosts:
    a: {links: {s1: 10.0.0.1/24}}
    b: {links: {s2: 10.0.0.2/24}}
    c: {links: {s3: 10.0.0.3/24}}
  links:
    - {between: [s1, s2]}
    - {between: [s2, s3]}
    - {between: [s3, s1]}
    - {between: [s3, s1]}
`, stp)
}

// logged keeps what a lab logs.
type logged struct{ fabrictest.Output }

func (l *logged) config() Config { return Config{Log: slog.New(slog.NewTextHandler(l, nil))} }

// A ring with the spanning tree protocol carries everything, also when a cable is cut and when it is back; no frame
// circles.
func TestSpanningTreeInALab(t *testing.T) {
	log := new(logged)
	l := start(t, ringOf("stp: true"), log.config())
	all := func(within time.Duration) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		for _, from := range []string{"a", "b", "c"} {
			for _, to := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
				for {
					try, stop := context.WithTimeout(ctx, 300*time.Millisecond)
					_, err := l.MustNode(from).Ping(try, to)
					stop()
					if err == nil {
						break
					}
					if ctx.Err() != nil {
						t.Fatalf("ping from %s to %s: %v", from, to, err)
					}
				}
			}
		}
	}
	all(time.Minute)
	for _, cut := range [][2]string{{"s1", "s2"}, {"s2", "s3"}, {"s3", "s1"}} {
		down, up := true, false
		setLink(t, l, cut, &down)
		all(time.Minute)
		setLink(t, l, cut, &up)
		all(time.Minute)
	}
	for line, want := range map[string]string{"brctl show": "yes", "brctl showstp s1": "root port\t\t   0", "bridge link": "1: a state UP master s1 state forwarding priority 32", "bridge fdb": "master s1",
		"bridge vlan": "s2\t 1 PVID"} {
		var out bytes.Buffer
		exit, err := l.MustNode("s1").Run(soon(t), line, shell.Stdio{Out: &out, Err: &out})
		if err != nil || exit != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: status %d, %v, printed\n%s\nwant %q in it", line, exit, err, &out, want)
		}
	}
	tree, ok := l.phys.switches["s1"].Tree()
	if !ok || tree.Root != tree.ID {
		t.Errorf("s1, the first switch, is not the root: %+v", tree)
	}
	var blocked uint64
	for _, sw := range l.phys.switches {
		for _, p := range sw.Ports() {
			blocked += p.Stats.Drops[fabric.DropSTP.String()]
		}
		if n := sw.Loops(); n > 0 {
			t.Errorf("%d frames were in a loop at %s", n, sw.Name())
		}
	}
	if blocked == 0 {
		t.Error("no port dropped anything because it was blocked")
	}
	if strings.Contains(log.String(), "storm") {
		t.Errorf("the log says\n%s", log)
	}
}

// Without the protocol a broadcast in a ring ends, and the lab says what happened and what would help.
func TestStormIsReported(t *testing.T) {
	log := new(logged)
	l := start(t, ringOf(""), log.config())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, _ = l.MustNode("a").Ping(ctx, "10.0.0.77") // nobody: its ARP requests circle
	for end := time.Now().Add(time.Minute); !strings.Contains(log.String(), "broadcast storm"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no storm was reported; the log has\n%s", log)
		}
	}
	for _, want := range []string{"level=WARN", "s1, s2, s3", "hop-limit", "enable stp"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log says\n%s\nwant %q in it", log, want)
		}
	}
}
