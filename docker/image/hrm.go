package image

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/lb/l7"
)

// hrmImage is the HTTP routing mesh of Docker's Universal Control Plane. As the service ucp-hrm on the network ucp-hrm
// that publishes 80:8080 and 8443:8443 it leads requests to the services whose labels ask for them (G1-G11).
func hrmImage() *Image {
	return &Image{
		Name: "docker/ucp-hrm", Size: 20_119_552, Created: built(2016, 11, 9),
		Entrypoint:   []string{"/bin/ucp-hrm"},
		Env:          []string{defaultPath},
		ExposedPorts: []string{"8080/tcp", "8443/tcp"},
		Programs:     map[string]Program{"ucp-hrm": hrm},
		Tools:        ToolsBusybox,
	}
}

// interlockImage is the same mesh as UCP 3 calls it, with the ports of its nginx (G11). It reads the labels itself, which in UCP the
// services ucp-interlock and ucp-interlock-extension do for it.
func interlockImage() *Image {
	return &Image{
		Name: "docker/ucp-interlock-proxy", Size: 18_571_264, Created: built(2018, 4, 17),
		Entrypoint:   []string{"/bin/ucp-interlock-proxy", "-http=:80", "-tls=:443", "-network=ucp-interlock"},
		Env:          []string{defaultPath},
		ExposedPorts: []string{"80/tcp", "443/tcp"},
		Programs:     map[string]Program{"ucp-interlock-proxy": hrm},
		Tools:        ToolsBusybox,
	}
}

// hrmPoll is how often the mesh looks at the services where nobody tells it of a change; UCP's looks every minute (G3).
const hrmPoll = time.Second

// hrm serves HTTP on :8080 and TLS on :8443, or where its flags say, and tells what it has done: each request in its log, and
// sums at statsAddress.
func hrm(ctx context.Context, p *Process) int {
	flags := flag.NewFlagSet("ucp-hrm", flag.ContinueOnError)
	flags.SetOutput(p.stderr())
	plain := flags.String("http", ":8080", "listen `address` for HTTP")
	secure := flags.String("tls", ":8443", "listen `address` for TLS")
	network := flags.String("network", "ucp-hrm", "`name` of the network that leads to the services")
	stats := flags.String("stats", statsAddress, "listen `address` for what has been done so far, as text; empty: none")
	poll := flags.Duration("poll", hrmPoll, "how often to look at the services")
	switch err := flags.Parse(p.operands()); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case *poll <= 0:
		_, _ = fmt.Fprintf(p.stderr(), "ucp-hrm: poll %s: write a time like 1s\n", *poll)
		return 2
	case p.Services == nil:
		_, _ = fmt.Fprintln(p.stderr(), "ucp-hrm: this node is no part of a swarm, so there are no services to lead to")
		return 1
	}
	log := slog.New(slog.NewTextHandler(p.stderr(), nil))
	m := &mesh{services: p.Services, network: *network, log: log, router: l7.New(l7.Config{
		Dial: p.Net.Dial, ConnContext: because, Log: log, Access: accessLog(p.Stdout),
	})}
	if err := m.serve(ctx, p.Net, meshAddresses{*plain, *secure, *stats}, *poll); err != nil {
		_, _ = fmt.Fprintf(p.stderr(), "ucp-hrm: %v\n", err)
		return 1
	}
	return exitTerminated
}

// mesh keeps a router's routes as the labels of the services have them.
type mesh struct {
	services Services
	network  string
	log      *slog.Logger
	router   *l7.Router

	routes []l7.Route
	wrong  string // what was last said of labels that cannot be read
}

// meshAddresses are where a mesh listens; stats may be empty.
type meshAddresses struct{ plain, secure, stats string }

// serve answers on all addresses until ctx ends.
func (m *mesh) serve(ctx context.Context, sockets Net, at meshAddresses, poll time.Duration) error {
	g, ctx := errgroup.WithContext(ctx)
	m.update() // whoever is let in finds the routes
	for _, s := range []struct {
		address string
		serve   func(context.Context, net.Listener) error
	}{{at.stats, m.serveStats}, {at.plain, m.router.Serve}, {at.secure, m.router.ServeTLS}} {
		if s.address == "" {
			continue
		}
		l, err := sockets.Listen(ctx, "tcp", s.address)
		if err != nil {
			g.Go(func() error { return fmt.Errorf("listen on %s: %w", s.address, err) })
			break
		}
		g.Go(func() error { return s.serve(ctx, l) })
	}
	g.Go(func() error {
		m.watch(ctx, poll)
		return nil
	})
	return g.Wait()
}

// watch follows the services until ctx ends.
func (m *mesh) watch(ctx context.Context, poll time.Duration) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		changed := m.services.Changed() // before looking, or a change between the two would be missed
		m.update()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

// update takes over what the services' labels say now.
func (m *mesh) update() {
	routes, err := routesOf(m.services.Services(), m.network)
	if reflect.DeepEqual(routes, m.routes) && text(err) == m.wrong {
		return
	}
	m.routes, m.wrong = routes, text(err)
	if err := errors.Join(err, m.router.SetRoutes(routes)); err != nil {
		m.log.Warn("some labels are of no effect", "error", err)
	}
	for _, r := range routes {
		m.log.Info("route", "to", r.Pattern(), "service", r.Name, "tasks", len(r.Backends))
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
