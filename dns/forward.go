package dns

import (
	"context"
	"errors"
	"net/netip"

	mdns "github.com/miekg/dns"
)

// errNoDial says that there is no way out.
var errNoDial = errors.New("no dial function")

// forward asks the upstreams in order, by the transport that the query came by. It returns the first answer, be it
// NXDOMAIN; a server that fails or refuses is passed over. Without an answer the reply is SERVFAIL.
func (r *Resolver) forward(ctx context.Context, req *mdns.Msg, t transport) *mdns.Msg {
	select {
	case r.waiting <- struct{}{}:
		defer func() { <-r.waiting }()
	default:
		r.count.refused.Add(1)
		r.cfg.Log.Warn("dns query refused: too many wait for upstream servers",
			"name", req.Question[0].Name, "limit", r.cfg.MaxForwards)
		return newFailure(req, mdns.RcodeRefused)
	}
	for _, server := range *r.upstreams.Load() {
		resp, err := r.ask(ctx, server, req, t)
		if err != nil {
			r.cfg.Log.Info("dns upstream failed", "server", server, "name", req.Question[0].Name, "err", err)
			continue
		}
		if resp.Rcode == mdns.RcodeServerFailure || resp.Rcode == mdns.RcodeRefused {
			continue
		}
		r.count.forwarded.Add(1)
		return resp
	}
	r.count.failed.Add(1)
	return newFailure(req, mdns.RcodeServerFailure)
}

// ask puts req to one upstream.
func (r *Resolver) ask(ctx context.Context, server netip.AddrPort, req *mdns.Msg, t transport) (*mdns.Msg, error) {
	if r.cfg.Dial == nil {
		return nil, errNoDial
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	resp, _, err := exchange(ctx, r.cfg.Dial, server, req, t)
	return resp, err
}
