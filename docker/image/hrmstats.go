package image

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/netsim-lab/netsim/lb/l7"
)

// statsAddress is where a mesh tells what it has done: wget -q -O - http://127.0.0.1:8404/ in its container. HAProxy's manual has its
// statistics on that port.
const statsAddress = "127.0.0.1:8404"

// accessLog returns what writes a line for each request and connection; nil where nobody reads.
func accessLog(w io.Writer) func(l7.Access) {
	if w == nil {
		return nil
	}
	log := slog.New(slog.NewTextHandler(w, nil))
	return func(a l7.Access) {
		if a.Status == 0 && a.Method == "" {
			log.Info("connection", "client", a.Client, "name", a.Host, "service", a.Route.Name, "task", a.Backend.String(), "took", a.Took.Round(time.Microsecond))
			return
		}
		log.Info("request", "client", a.Client, "host", a.Host, "method", a.Method, "uri", a.URI, "service", a.Route.Name,
			"task", a.Backend.String(), "status", a.Status, "bytes", a.Bytes, "took", a.Took.Round(time.Microsecond))
	}
}

// serveStats answers every request with what the mesh has done, until ctx ends.
func (m *mesh) serveStats(ctx context.Context, l net.Listener) error {
	return ServeHTTP(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_ = writeStats(w, m.router.Stats(), m.router.Counters()) // the client has gone
	}))
}

// writeStats writes a line for each backend of each route, and the sums.
func writeStats(w io.Writer, routes []l7.RouteStats, sums l7.Counters) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROUTE\tSERVICE\tTASK\t"+l7.StatsColumns) //nolint:errcheck // Flush tells
	for _, r := range routes {
		slices.SortFunc(r.Backends, func(a, b l7.BackendStats) int { return strings.Compare(a.Name, b.Name) })
		for _, b := range r.Backends {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Pattern, r.Name, b.Backend, b.Row()) //nolint:errcheck // as above
		}
		if len(r.Backends) == 0 {
			fmt.Fprintf(t, "%s\t%s%s\n", r.Pattern, r.Name, strings.Repeat("\t-", 2+strings.Count(l7.StatsColumns, "\t"))) //nolint:errcheck // as above
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	_, err := sums.WriteTo(w)
	return err
}
