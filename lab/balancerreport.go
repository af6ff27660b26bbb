package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/lb/l7"
)

// balancerStatsPort is where a balancer tells what it has done, on its own 127.0.0.1, as the HTTP routing mesh does.
const balancerStatsPort = 8404

// balancerLog is the file of a balancer that has a line for each request and connection, and for each that was refused.
const balancerLog = "/var/log/balancer.log"

// balancerLogLines are how many lines it keeps.
const balancerLogLines = 1000

// balancerReport is what a balancer tells of itself.
type balancerReport struct {
	log   logLines
	ports []balancerPort // written before the lab is up
}

type balancerPort struct {
	frontend *topology.Frontend
	router   *l7.Router
}

func (b *balancerReport) add(f *topology.Frontend, r *l7.Router) {
	b.ports = append(b.ports, balancerPort{f, r})
}

// openReport has a balancer tell what it has done, unless that port is for clients.
func (l *Lab) openReport(m *machine) error {
	for _, p := range m.report.ports {
		if p.frontend.Port == balancerStatsPort {
			return nil
		}
	}
	ln, err := m.ns.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", balancerStatsPort))
	if err != nil {
		return fmt.Errorf("open port %d of balancer %s: %w", balancerStatsPort, m.name, err)
	}
	l.running().spawn(func(ctx context.Context) error {
		if err := image.ServeHTTP(ctx, ln, m.report); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// ServeHTTP implements http.Handler: every request is answered with what the balancer has done.
func (b *balancerReport) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_ = b.write(w) // the client has gone
}

// write writes a line for each backend of each port, and the sums of each port.
func (b *balancerReport) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PORT\tMODE\tBACKEND\t"+l7.StatsColumns) //nolint:errcheck // Flush tells
	for _, p := range b.ports {
		for _, route := range p.router.Stats() {
			for _, s := range route.Backends {
				fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", p.frontend.Port, p.frontend.Mode, s.Backend, s.Row()) //nolint:errcheck // as above
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range b.ports {
		if _, err := fmt.Fprintf(w, "\nport %d\n", p.frontend.Port); err != nil {
			return err
		}
		if _, err := p.router.Counters().WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}

// logLines keeps the last lines of a log. Its zero value has none; all methods may be called at once.
type logLines struct {
	mu    sync.Mutex
	lines [][]byte // guarded by mu; a ring once it is full
	next  int      // guarded by mu
}

// Write implements io.Writer; each is a line. It never fails.
func (l *logLines) Write(b []byte) (int, error) {
	line := append([]byte(nil), b...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < balancerLogLines {
		l.lines = append(l.lines, line)
		return len(b), nil
	}
	l.lines[l.next] = line
	l.next = (l.next + 1) % balancerLogLines
	return len(b), nil
}

// text returns the lines, the oldest first.
func (l *logLines) text() (all []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.lines {
		all = append(all, l.lines[(l.next+i)%len(l.lines)]...)
	}
	return all
}

func (l *logLines) handler() slog.Handler { return slog.NewTextHandler(l, nil) }

// access returns what writes a line for each request and connection of a port.
func (l *logLines) access(port int) func(l7.Access) {
	log := slog.New(l.handler()).With("port", port)
	return func(a l7.Access) {
		took := a.Took.Round(time.Microsecond)
		if a.Status == 0 && a.Method == "" {
			log.Info("connection", "client", a.Client, "backend", a.Backend.String(), "took", took)
			return
		}
		log.Info("request", "client", a.Client, "host", a.Host, "method", a.Method, "uri", a.URI,
			"backend", a.Backend.String(), "status", a.Status, "bytes", a.Bytes, "took", took)
	}
}
