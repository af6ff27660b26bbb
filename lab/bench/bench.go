// Package bench measures netsim beside what the same machine's kernel does, in one run, and says the ratio. A bare time
// or rate of a noisy machine says little; two taken in turn say how they compare.
//
// The kernel's side runs in network namespaces that a measurement makes and removes. Where a load generator must run
// inside one of them, or in a second process, this very program is started again: see Child.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"
)

// Config says what to measure. Its zero value works.
type Config struct {
	Rows     []string      // names of rows; nil: all but those that show growth
	Growth   bool          // the rows that show growth too: throughput against hops, flows and containers
	Rounds   int           // how often each side is measured; the median counts; 0: 3
	Duration time.Duration // of one throughput measurement; 0: 2 s
	Progress io.Writer     // where progress is told; nil: nowhere
}

// Result is one row of the table.
type Result struct {
	Name  string  `json:"name"`
	Work  string  `json:"work"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	// Extra are further figures of the same run, by name with unit.
	Extra map[string]float64 `json:"extra,omitempty"`
	// Points are the figures of a row that shows growth; Value is the first.
	Points []Point `json:"points,omitempty"`
	Peer   string  `json:"peer,omitempty"`
	// PeerValue is the peer's figure, Ratio Value/PeerValue; 0 if the peer could not run, for the reason in Skipped.
	PeerValue float64 `json:"peerValue,omitempty"`
	Ratio     float64 `json:"ratio,omitempty"`
	// Skipped tells why the peer, or the whole row, could not be measured.
	Skipped string `json:"skipped,omitempty"`
	Goals   []Goal `json:"goals,omitempty"`
}

// Point is one figure of a row that shows growth.
type Point struct {
	At    int     `json:"at"` // how many hops, flows or containers
	Value float64 `json:"value"`
}

// row is something to measure.
type row struct {
	name, work, unit, peer string
	goals                  []Goal
	// measure returns one figure of netsim, and further ones; errSkip tells why it cannot.
	measure func(ctx context.Context, cfg Config) (float64, map[string]float64, error)
	// against returns one figure of the peer; errSkip tells why it cannot. nil: there is no peer.
	against func(ctx context.Context, cfg Config) (float64, error)
	// points makes it a row that shows growth: measureAt takes the place of measure.
	points    []int
	measureAt func(ctx context.Context, cfg Config, n int) (float64, error)
}

// errSkip wraps the reason why something cannot be measured here.
var errSkip = errors.New("skipped")

// Rows returns the names of all rows.
func Rows() []string {
	var names []string
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return names
}

// Run measures the rows one after the other, each side in turn, and returns a result for each. If ctx ends it returns
// what it has, and the error.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	cfg = cfg.filled()
	for _, name := range cfg.Rows {
		if !slices.Contains(Rows(), name) {
			return nil, fmt.Errorf("bench has no row %q; it has %v", name, Rows())
		}
	}
	if isChild() {
		return nil, errors.New("bench: this process is the second one of a measurement: main must call bench.Child first")
	}
	removeStale()
	var out []Result
	for _, r := range rows() {
		if !cfg.wants(r) {
			continue
		}
		res, err := r.run(ctx, cfg)
		if err != nil {
			return out, fmt.Errorf("bench %s: %w", r.name, err)
		}
		out = append(out, res)
	}
	return out, nil
}

func (cfg Config) filled() Config {
	if cfg.Rounds == 0 {
		cfg.Rounds = 3
	}
	if cfg.Duration == 0 {
		cfg.Duration = 2 * time.Second
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	return cfg
}

func (cfg Config) wants(r row) bool {
	if cfg.Rows != nil {
		return slices.Contains(cfg.Rows, r.name)
	}
	return r.points == nil || cfg.Growth
}

func (cfg Config) tell(format string, args ...any) {
	fmt.Fprintf(cfg.Progress, format+"\n", args...) //nolint:errcheck // progress is a courtesy
}

func (r row) run(ctx context.Context, cfg Config) (Result, error) {
	if r.points != nil {
		return r.grow(ctx, cfg)
	}
	res := Result{Name: r.name, Work: r.work, Unit: r.unit, Peer: r.peer}
	var mine, theirs []float64
	for round := range cfg.Rounds {
		v, extra, err := r.mine(ctx, cfg)
		if ctx.Err() != nil {
			return res, ctx.Err()
		}
		if errors.Is(err, errSkip) {
			res.Skipped = err.Error()
			break
		}
		if err != nil {
			return res, err
		}
		mine = append(mine, v)
		if round == 0 {
			res.Extra = extra // memory is fresh once
		}
		cfg.tell("%s: round %d of %d: %.3g %s", r.name, round+1, cfg.Rounds, v, r.unit)
		if r.against == nil || res.Skipped != "" {
			continue
		}
		p, err := r.against(ctx, cfg)
		switch {
		case ctx.Err() != nil:
			return res, ctx.Err()
		case err != nil:
			res.Skipped = err.Error()
		default:
			theirs = append(theirs, p)
			cfg.tell("%s: round %d of %d: peer %.3g %s", r.name, round+1, cfg.Rounds, p, r.unit)
		}
	}
	res.Value = median(mine)
	if len(theirs) == cfg.Rounds {
		res.PeerValue = median(theirs)
		res.Ratio = res.Value / res.PeerValue
	}
	res.Goals = judge(r.goals, res)
	return res, nil
}

// mine measures netsim, on a heap without what the row before left.
func (r row) mine(ctx context.Context, cfg Config) (float64, map[string]float64, error) {
	debug.FreeOSMemory()
	return r.measure(ctx, cfg)
}

// grow measures each point in every round.
func (r row) grow(ctx context.Context, cfg Config) (Result, error) {
	res := Result{Name: r.name, Work: r.work, Unit: r.unit}
	all := make([][]float64, len(r.points))
	for round := range cfg.Rounds {
		for i, n := range r.points {
			debug.FreeOSMemory()
			v, err := r.measureAt(ctx, cfg, n)
			if err = errors.Join(ctx.Err(), err); err != nil {
				return res, err
			}
			cfg.tell("%s: round %d of %d: %d: %.3g %s", r.name, round+1, cfg.Rounds, n, v, r.unit)
			all[i] = append(all[i], v)
		}
	}
	for i, n := range r.points {
		res.Points = append(res.Points, Point{n, median(all[i])})
	}
	res.Value = res.Points[0].Value
	return res, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	if n == 0 {
		return 0
	}
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}
