package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// ClientConfig describes a stub resolver. Its zero value resolves nothing but literal addresses.
type ClientConfig struct {
	// Dial reaches the name servers. Nil: they are not reached.
	Dial DialFunc
	// Resolv returns what /etc/resolv.conf says at the moment. Nil: a server at 127.0.0.1, as with an empty file.
	Resolv func() ResolvConf
	// Hosts returns what /etc/hosts says at the moment. Nil: nothing.
	Hosts func() *Hosts
}

// Client is the stub resolver of one namespace: /etc/hosts first, then the servers of /etc/resolv.conf with its search
// list and options. All methods are safe to call at once; they start nothing and end with their context. Their errors
// are *net.DNSError that wrap ErrNotFound or ErrTemporary.
type Client struct{ cfg ClientConfig }

// NewClient returns a stub resolver.
func NewClient(cfg ClientConfig) *Client { return &Client{cfg: cfg} }

// LookupHost returns the addresses of name, IPv4 first.
func (c *Client) LookupHost(ctx context.Context, name string) ([]netip.Addr, error) {
	return c.LookupNetIP(ctx, "ip", name)
}

// LookupNetIP returns the addresses of name of one family, or of both: the network is "ip4", "ip6" or "ip".
func (c *Client) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	types, err := addrTypes(network)
	if err != nil {
		return nil, err
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return literal(addr, name, types)
	}
	var found []netip.Addr
	for _, addr := range c.hosts().Addrs(name) {
		if hasType(types, addr) {
			found = append(found, addr)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	return c.searchAddrs(ctx, name, types)
}

// LookupAddr returns the name of addr with no final dot.
func (c *Client) LookupAddr(ctx context.Context, addr netip.Addr) (string, error) {
	addr = plainAddr(addr)
	if name, ok := c.hosts().Name(addr); ok {
		return name, nil
	}
	reply, err := c.ask(ctx, c.resolv(), ReverseName(addr), TypePTR)
	if err != nil {
		return "", renamed(err, addr.String())
	}
	names := reply.Pointers()
	if len(names) == 0 {
		return "", lookupError(addr.String(), reply.Server, ErrNotFound)
	}
	return strings.TrimSuffix(names[0], "."), nil
}

// Query puts one question to the servers of /etc/resolv.conf in order, with their timeouts and attempts but without the
// search list, and returns the first useful reply, be it NXDOMAIN.
func (c *Client) Query(ctx context.Context, name string, t Type) (*Reply, error) {
	return c.ask(ctx, c.resolv(), name, t)
}

// searchAddrs tries the names that the search list makes of name. That a name is not found is only known once all of
// them are; a server that failed for any of them makes the failure a temporary one.
func (c *Client) searchAddrs(ctx context.Context, name string, types []Type) ([]netip.Addr, error) {
	conf := c.resolv()
	var failed error
	for _, candidate := range conf.Candidates(name) {
		addrs, err := c.askAddrs(ctx, conf, candidate, types)
		if len(addrs) > 0 {
			return addrs, nil
		}
		if failed == nil || errors.Is(failed, ErrNotFound) {
			failed = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if failed == nil {
		failed = lookupError(name, netip.AddrPort{}, ErrNotFound)
	}
	return nil, renamed(failed, name)
}

// askAddrs asks for the addresses of one full name.
func (c *Client) askAddrs(ctx context.Context, conf ResolvConf, name string, types []Type) ([]netip.Addr, error) {
	var addrs []netip.Addr
	var server netip.AddrPort
	for _, t := range types {
		reply, err := c.ask(ctx, conf, name, t)
		if err != nil {
			return addrs, err
		}
		server = reply.Server
		addrs = append(addrs, reply.Addrs()...)
		if reply.NotFound() {
			break // then it is so for every type
		}
	}
	if len(addrs) == 0 {
		return nil, lookupError(name, server, ErrNotFound)
	}
	return addrs, nil
}

// ask puts one question to the servers in order, as often as the options say, until one gives a useful reply.
func (c *Client) ask(ctx context.Context, conf ResolvConf, name string, t Type) (*Reply, error) {
	var failed error
	var server netip.AddrPort
	q := Question{Name: name, Type: t, Timeout: conf.Timeout()}
	for range conf.Attempts() {
		for _, server = range conf.Servers() {
			reply, err := Query(ctx, c.cfg.Dial, server, q)
			if err == nil && (reply.OK() || reply.NotFound()) {
				return reply, nil
			}
			if failed = err; err == nil {
				failed = fmt.Errorf("%w: %s", errLame, reply.Status())
			}
			if ctx.Err() != nil {
				return nil, lookupError(name, server, failed)
			}
		}
	}
	return nil, lookupError(name, server, failed)
}

// resolv returns what /etc/resolv.conf says.
func (c *Client) resolv() ResolvConf {
	if c.cfg.Resolv == nil {
		return ResolvConf{}
	}
	return c.cfg.Resolv()
}

// hosts returns what /etc/hosts says; nil is as good as an empty one.
func (c *Client) hosts() *Hosts {
	if c.cfg.Hosts == nil {
		return nil
	}
	return c.cfg.Hosts()
}

// addrTypes are the types to ask for, for a network of package net.
func addrTypes(network string) ([]Type, error) {
	switch network {
	case "ip":
		return []Type{TypeA, TypeAAAA}, nil
	case "ip4":
		return []Type{TypeA}, nil
	case "ip6":
		return []Type{TypeAAAA}, nil
	}
	return nil, net.UnknownNetworkError(network)
}

// literal is the lookup of a name that is itself an address.
func literal(addr netip.Addr, name string, types []Type) ([]netip.Addr, error) {
	if !hasType(types, addr) {
		return nil, lookupError(name, netip.AddrPort{}, ErrNotFound)
	}
	return []netip.Addr{addr}, nil
}

// hasType reports whether addr is of a family asked for.
func hasType(types []Type, addr netip.Addr) bool {
	for _, t := range types {
		if addr.BitLen() == 8*rdataLen(uint16(t)) {
			return true
		}
	}
	return false
}

// lookupError is the error of a lookup of name that failed because of cause. Where there is no server, none is named.
func lookupError(name string, server netip.AddrPort, cause error) error {
	err := &net.DNSError{Err: ErrNotFound.Error(), Name: strings.TrimSuffix(name, "."), IsNotFound: true, UnwrapErr: ErrNotFound}
	if server.IsValid() {
		err.Server = server.String()
	}
	if errors.Is(cause, ErrNotFound) {
		return err
	}
	var network net.Error
	timeout := errors.As(cause, &network) && network.Timeout()
	err.Err, err.UnwrapErr = "dns unavailable", ErrTemporary
	if cause != nil {
		err.Err, err.UnwrapErr = cause.Error(), fmt.Errorf("%w: %w", ErrTemporary, cause)
	}
	err.IsNotFound, err.IsTemporary, err.IsTimeout = false, true, timeout
	return err
}

// renamed is a lookup's error under the name that the user asked for.
func renamed(err error, name string) error {
	var lookup *net.DNSError
	if !errors.As(err, &lookup) {
		return err
	}
	copied := *lookup
	copied.Name = name
	return &copied
}
