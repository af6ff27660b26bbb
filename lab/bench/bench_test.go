package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// unprivileged makes the test one by somebody who may not make kernel namespaces.
func unprivileged(t *testing.T) {
	euid = func() int { return 1000 }
	t.Cleanup(func() { euid = os.Geteuid })
}

// privileged skips a test that needs kernel namespaces.
func privileged(t *testing.T, tools ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("measures the kernel")
	}
	if err := needKernel(tools...); err != nil {
		t.Skip(err)
	}
}

func quick() Config { return Config{Rounds: 1, Duration: 20 * time.Millisecond}.filled() }

// Every row measures something without privileges, and says why it has no peer.
func TestRows(t *testing.T) {
	unprivileged(t)
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			if strings.HasPrefix(r.name, "start-") {
				r.measure = starting(20)
			}
			if r.points != nil {
				r.points = r.points[:2]
			}
			res, err := r.run(t.Context(), quick())
			if err != nil {
				t.Fatal(err)
			}
			if res.Value <= 0 && r.name != "allocs" {
				t.Errorf("%s = %+v; want a figure", r.name, res)
			}
			if (r.against != nil && !strings.HasPrefix(r.peer, ownPeer)) != strings.Contains(res.Skipped, "needs root") {
				t.Errorf("%s: skipped %q; want the reason where there is a peer", r.name, res.Skipped)
			}
			if len(res.Points) != len(r.points) || len(res.Goals) != len(r.goals) {
				t.Errorf("%s: %d points, %d goals; want %d, %d", r.name, len(res.Points), len(res.Goals), len(r.points), len(r.goals))
			}
		})
	}
}

// Peers run, and leave nothing behind.
func TestPeers(t *testing.T) {
	privileged(t, "iperf3", "nft", "dnsmasq")
	for _, r := range rows() {
		if r.against == nil || strings.HasPrefix(r.name, "start-") || strings.HasPrefix(r.peer, ownPeer) {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			v, err := r.against(t.Context(), quick())
			lacks := errors.Is(err, errSkip) && strings.Contains(err.Error(), "AEAD algorithm not found")
			if (v <= 0 || err != nil) && !lacks {
				t.Errorf("peer of %s = %v, %v; want a figure", r.name, v, err)
			}
			if left := leftovers(t); len(left) > 0 {
				t.Errorf("peer of %s leaves %v", r.name, left)
			}
			if lacks {
				t.Skip("SKIP: the kernel has no AES-GCM for IPsec")
			}
		})
	}
}

// leftovers are the kernel namespaces of this process.
func leftovers(t *testing.T) []string {
	t.Helper()
	left, err := filepath.Glob(namespaces + kernelPrefix + strconv.Itoa(os.Getpid()) + "-*")
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// A measurement ends with its context, on either side, and leaves nothing.
func TestCancel(t *testing.T) {
	for _, side := range []string{"netsim", "peer"} {
		t.Run(side, func(t *testing.T) {
			if side == "peer" {
				privileged(t, "iperf3")
			}
			for _, r := range throughput() {
				ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
				begin := time.Now()
				cfg := Config{Duration: time.Minute}.filled()
				var err error
				if side == "peer" {
					_, err = r.against(ctx, cfg)
				} else {
					_, _, err = r.measure(ctx, cfg)
				}
				cancel()
				if took := time.Since(begin); err == nil || took > 20*time.Second {
					t.Errorf("%s: %v after %v; want an error soon", r.name, err, took)
				}
				if left := leftovers(t); len(left) > 0 {
					t.Errorf("%s leaves %v", r.name, left)
				}
			}
		})
	}
}

// What Run has when its context ends is returned with the error.
func TestRunEnds(t *testing.T) {
	unprivileged(t)
	ctx, cancel := context.WithCancel(t.Context())
	progress := writerFunc(func(b []byte) (int, error) {
		if strings.HasPrefix(string(b), "rtt-idle") {
			cancel()
		}
		return len(b), nil
	})
	res, err := Run(ctx, Config{Rows: []string{"udp-small", "rtt-idle", "allocs"}, Rounds: 1, Duration: 20 * time.Millisecond, Progress: progress})
	if !errors.Is(err, context.Canceled) || len(res) != 1 || res[0].Name != "udp-small" {
		t.Errorf("Run = %+v, %v; want one row and that it was cancelled", res, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestUnknownRow(t *testing.T) {
	if _, err := Run(t.Context(), Config{Rows: []string{"tcp-brigde"}}); err == nil || !strings.Contains(err.Error(), "tcp-bridge") {
		t.Errorf("Run = %v; want an error that lists the rows", err)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []float64
		want float64
	}{
		{"none", nil, 0},
		{"odd", []float64{3, 1, 2}, 2},
		{"even", []float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.in); got != c.want {
			t.Errorf("%s: median = %v; want %v", c.name, got, c.want)
		}
	}
}

func TestWants(t *testing.T) {
	growth, plain := row{name: "growth-x", points: []int{1}}, row{name: "tcp-x"}
	for _, c := range []struct {
		name          string
		cfg           Config
		growth, plain bool
	}{
		{"no rows named", Config{}, false, true},
		{"growth too", Config{Growth: true}, true, true},
		{"by name", Config{Rows: []string{"growth-x"}}, true, false},
	} {
		if g, p := c.cfg.wants(growth), c.cfg.wants(plain); g != c.growth || p != c.plain {
			t.Errorf("%s: wants = %v, %v; want %v, %v", c.name, g, p, c.growth, c.plain)
		}
	}
}
