package remote

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"

	"github.com/netsim-lab/netsim/docker/ipam"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Addresses is what a plug-in does: the address driver behind the protocol.
type Addresses interface {
	RequestPool(ctx context.Context, r ipam.PoolRequest) (ipam.Lease, error)
	ReleasePool(ctx context.Context, id string) error
	RequestAddress(ctx context.Context, r ipam.AddressRequest) (netip.Prefix, error)
	ReleaseAddress(ctx context.Context, id string, a netip.Addr) error
}

// Handler serves the plug-in's side of the protocol: serve it on a unix socket, and Docker or a lab can use a.
func Handler(a Addresses) http.Handler {
	mux := http.NewServeMux()
	handle(mux, pathActivate, func(context.Context, struct{}) (activateAnswer, error) {
		return activateAnswer{Implements: []string{driverType}}, nil
	})
	handle(mux, pathCapabilities, func(context.Context, struct{}) (c capabilitiesAnswer, err error) {
		if m, ok := a.(interface{ RequiresMAC() bool }); ok {
			c.RequiresMACAddress = m.RequiresMAC()
		}
		return c, nil
	})
	handle(mux, pathSpaces, func(context.Context, struct{}) (spacesAnswer, error) {
		return spacesAnswer{LocalDefaultAddressSpace: "LocalDefault", GlobalDefaultAddressSpace: "GlobalDefault"}, nil
	})
	handle(mux, pathRequestPool, func(ctx context.Context, r poolRequest) (poolAnswer, error) {
		req := ipam.PoolRequest{Options: r.Options}
		var err error
		if req.Subnet, err = prefix(r.Pool); err == nil {
			req.Range, err = prefix(r.SubPool)
		}
		if err != nil || r.V6 {
			return poolAnswer{}, ipam.ErrInvalidPool
		}
		lease, err := a.RequestPool(ctx, req)
		answer := poolAnswer{PoolID: lease.ID, Pool: text(lease.Subnet), Data: map[string]string{}}
		if lease.Gateway.IsValid() {
			answer.Data[optGateway] = netip.PrefixFrom(lease.Gateway, lease.Subnet.Bits()).String()
		}
		return answer, err
	})
	handle(mux, pathReleasePool, func(ctx context.Context, r releasePoolRequest) (struct{}, error) {
		return struct{}{}, a.ReleasePool(ctx, r.PoolID)
	})
	handle(mux, pathRequestAddress, func(ctx context.Context, r addressRequest) (addressAnswer, error) {
		req := ipam.AddressRequest{Pool: r.PoolID, Gateway: r.Options[optRequestType] == optGateway}
		if r.Address != "" {
			var err error
			if req.Addr, err = netip.ParseAddr(r.Address); err != nil {
				return addressAnswer{}, ipam.ErrOutOfRange
			}
		}
		if mac, err := net.ParseMAC(r.Options[optMAC]); err == nil && len(mac) == len(req.MAC) {
			req.MAC = wire.MAC(mac)
		}
		got, err := a.RequestAddress(ctx, req)
		return addressAnswer{Address: text(got), Data: map[string]string{}}, err
	})
	handle(mux, pathReleaseAddress, func(ctx context.Context, r releaseAddressRequest) (struct{}, error) {
		addr, err := netip.ParseAddr(r.Address)
		if err != nil {
			return struct{}{}, ipam.ErrOutOfRange
		}
		return struct{}{}, a.ReleaseAddress(ctx, r.PoolID, addr)
	})
	return mux
}

func prefix(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	return netip.ParsePrefix(s)
}

// handle answers one question of the protocol.
func handle[Q, A any](mux *http.ServeMux, path string, do func(context.Context, Q) (A, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		var q Q
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAnswer)).Decode(&q); err != nil && !errors.Is(err, io.EOF) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(errorAnswer{Err: err.Error()})
			return
		}
		answer, err := do(r.Context(), q)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			_ = json.NewEncoder(w).Encode(errorAnswer{Error: err.Error()})
			return
		}
		_ = json.NewEncoder(w).Encode(answer) // who went away needs no answer
	})
}
