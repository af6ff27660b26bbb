package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/lb/l7"
)

// startBalancers opens the ports of the balancers: what comes in is shared among backends, by connections to them that
// the balancer opens itself.
func (l *Lab) startBalancers() error {
	for _, m := range l.phys.order {
		if m.report == nil {
			continue
		}
		for i := range m.host.Frontends {
			if err := l.openFrontend(m, &m.host.Frontends[i]); err != nil {
				return err
			}
		}
		if err := l.openReport(m); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) openFrontend(m *machine, f *topology.Frontend) error {
	log := slog.New(slog.NewMultiHandler(l.log.With("balancer", m.name).Handler(), m.report.log.handler())).With("port", f.Port)
	r := l7.New(l7.Config{Dial: m.ns.Dial, ConnContext: because, Log: log, Access: m.report.log.access(f.Port)})
	route := frontendRoute(m.name, f)
	if err := r.SetRoutes([]l7.Route{route}); err != nil {
		return fmt.Errorf("%s: %w", f.Pos, err)
	}
	ln, err := m.ns.Listen("tcp", f.Address())
	if err != nil {
		return fmt.Errorf("%s: open port %d of balancer %s: %w", f.Pos, f.Port, m.name, err)
	}
	m.report.add(f, r)
	serve := r.ServeTCP
	if route.Kind == l7.HTTP {
		serve = r.Serve
	}
	g := l.running()
	g.spawn(func(ctx context.Context) error {
		if err := serve(ctx, ln); !errors.Is(err, net.ErrClosed) { // its namespace may be the first to end
			return err
		}
		return nil
	})
	check := l7.Check{
		Path: f.Check.Path, Interval: f.Check.Interval, Timeout: f.Check.Timeout, Rise: f.Check.Rise, Fall: f.Check.Fall,
	}
	g.spawn(func(ctx context.Context) error { return r.Watch(ctx, check, route.Backends) })
	return nil
}

// frontendRoute returns a balancer's port as the one route of its router.
func frontendRoute(name string, f *topology.Frontend) l7.Route {
	r := l7.Route{Name: name, Kind: l7.TCP, Sticky: f.Sticky, Forwarded: f.Forwarded}
	if f.Mode == topology.BalancerHTTP {
		r.Kind = l7.HTTP
	}
	if f.Balance == topology.BalancerLeastConn {
		r.Balance = l7.LeastConn
	}
	for _, b := range f.Backends {
		r.Backends = append(r.Backends, l7.Backend{Name: b.Text, Addr: b.Addr})
	}
	return r
}

// because returns the context of what a connection causes: whoever follows its packets follows that, too.
func because(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(interface {
		Because(context.Context) context.Context
	}); ok {
		return c.Because(ctx)
	}
	return ctx
}
