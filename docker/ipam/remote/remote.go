// Package remote speaks Docker's protocol for address drivers that run in a process of their own: JSON over HTTP on a unix
// socket. A Driver is the engine's side; Handler is the other one, for those who write such a plug-in in Go.
//
// A plug-in is asked for nothing before it is needed. Every call has a time limit, answers are read up to a limit, and
// what a plug-in says is checked: one that hangs, dies or answers nonsense makes the one call fail, and the next one
// tries anew.
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/ipam"
)

const (
	defaultTimeout = 5 * time.Second
	maxAnswer      = 1 << 20 // bytes of one answer
	maxText        = 300     // bytes of a plug-in's text that an error repeats
)

// Config says where a plug-in is.
type Config struct {
	Name    string        // what the user calls it
	Socket  string        // the path of its unix socket
	Timeout time.Duration // of one call, and of the first one, which may be several; 0: 5 seconds
}

// Driver is an address driver in another process. All methods may be called at once from several goroutines.
type Driver struct {
	cfg  Config
	http *http.Client

	mu     sync.Mutex
	active bool   // guarded by mu
	space  string // the plug-in's name for addresses of one host, guarded by mu
	mac    bool   // it wants hardware addresses, guarded by mu
}

// New returns the driver of a plug-in. It connects to nothing yet.
func New(cfg Config) *Driver {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", cfg.Socket)
	}
	return &Driver{cfg: cfg, http: &http.Client{
		// No connection is kept: a plug-in that is started anew is found at once, and nothing is left to close.
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a plug-in must not redirect") },
	}}
}

// RequiresMAC tells whether the plug-in wants to know the hardware address that an address is for. It is false before
// the first pool was requested.
func (d *Driver) RequiresMAC() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mac
}

// activate has the plug-in say what it is, once.
func (d *Driver) activate(ctx context.Context) (space string, err error) {
	d.mu.Lock()
	active, space := d.active, d.space
	d.mu.Unlock()
	if active {
		return space, nil
	}
	var is activateAnswer
	if err := d.post(ctx, pathActivate, nil, &is); err != nil {
		return "", err
	}
	if !slices.Contains(is.Implements, driverType) {
		return "", d.failf(pathActivate, "it implements %s, not %s", clip(strings.Join(is.Implements, ", ")), driverType)
	}
	var can capabilitiesAnswer
	var missing *statusError
	if err := d.post(ctx, pathCapabilities, nil, &can); err != nil && !errors.As(err, &missing) {
		return "", err // one that does not know the question, as those of the first days, has none
	}
	var spaces spacesAnswer
	if err := d.post(ctx, pathSpaces, nil, &spaces); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.active, d.space, d.mac = true, spaces.LocalDefaultAddressSpace, can.RequiresMACAddress
	return d.space, nil
}

// RequestPool asks the plug-in for a pool.
func (d *Driver) RequestPool(ctx context.Context, r ipam.PoolRequest) (ipam.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	space, err := d.activate(ctx)
	if err != nil {
		return ipam.Lease{}, err
	}
	req := poolRequest{AddressSpace: space, Pool: text(r.Subnet), SubPool: text(r.Range), Options: r.Options}
	if req.Options == nil {
		req.Options = map[string]string{}
	}
	var got poolAnswer
	if err := d.post(ctx, pathRequestPool, req, &got); err != nil {
		return ipam.Lease{}, err
	}
	lease := ipam.Lease{ID: got.PoolID}
	if lease.Subnet, err = netip.ParsePrefix(got.Pool); err == nil && got.PoolID == "" {
		err = errors.New("the pool has no id")
	}
	if gw := got.Data[optGateway]; err == nil && gw != "" {
		var p netip.Prefix
		p, err = netip.ParsePrefix(gw)
		lease.Gateway = p.Addr()
	}
	if err != nil {
		if got.PoolID != "" {
			err = errors.Join(err, d.ReleasePool(ctx, got.PoolID))
		}
		return ipam.Lease{}, d.failf(pathRequestPool, "its answer is not understood: %v", err)
	}
	lease.Subnet = lease.Subnet.Masked()
	return lease, nil
}

// ReleasePool gives a pool back.
func (d *Driver) ReleasePool(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	return d.post(ctx, pathReleasePool, releasePoolRequest{PoolID: id}, nil)
}

// RequestAddress asks the plug-in for an address.
func (d *Driver) RequestAddress(ctx context.Context, r ipam.AddressRequest) (netip.Prefix, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	req := addressRequest{PoolID: r.Pool, Options: map[string]string{}}
	if r.Addr.IsValid() {
		req.Address = r.Addr.String()
	}
	if r.Gateway {
		req.Options[optRequestType] = optGateway
	}
	if !r.MAC.IsZero() && d.RequiresMAC() {
		req.Options[optMAC] = r.MAC.String()
	}
	var got addressAnswer
	if err := d.post(ctx, pathRequestAddress, req, &got); err != nil {
		return netip.Prefix{}, err
	}
	p, err := netip.ParsePrefix(got.Address)
	switch {
	case err != nil:
		return netip.Prefix{}, d.failf(pathRequestAddress, "its answer is not understood: %v", err)
	case !p.Addr().Is4() || r.Addr.IsValid() && p.Addr() != r.Addr:
		return netip.Prefix{}, d.failf(pathRequestAddress, "it was asked for %s and gave %s", cmpText(req.Address), p)
	}
	return p, nil
}

func cmpText(address string) string {
	if address == "" {
		return "an IPv4 address"
	}
	return address
}

// ReleaseAddress gives an address back.
func (d *Driver) ReleaseAddress(ctx context.Context, id string, a netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	return d.post(ctx, pathReleaseAddress, releaseAddressRequest{PoolID: id, Address: a.String()}, nil)
}

// statusError is an answer with another status than 200 and without a text of the driver.
type statusError struct {
	status int
	text   string
}

// Error implements error.
func (e *statusError) Error() string { return e.text }

func (d *Driver) failf(path, format string, args ...any) error {
	return fmt.Errorf("plugin %s at %s: %s: %w", d.cfg.Name, d.cfg.Socket, path[1:], fmt.Errorf(format, args...))
}

// post makes one call. The plug-in's own errors come as Docker prints them: IpamDriver.RequestPool: TEXT.
func (d *Driver) post(ctx context.Context, path string, question, answer any) error {
	var body []byte // Docker sends nothing where there is nothing to say
	if question != nil {
		var err error
		if body, err = json.Marshal(question); err != nil {
			return d.failf(path, "%w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://plugin"+path, bytes.NewReader(body))
	if err != nil {
		return d.failf(path, "%w", err)
	}
	req.Header.Set("Accept", mediaType)
	req.Header.Set("Content-Type", mediaType)
	resp, err := d.http.Do(req)
	if err != nil {
		return d.failf(path, "%w", cause(ctx, err, d.cfg.Timeout))
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return d.failf(path, "%w", cause(ctx, err, d.cfg.Timeout))
	case len(got) > maxAnswer:
		return d.failf(path, "its answer is longer than %d bytes", maxAnswer)
	}
	return d.read(path, resp.StatusCode, got, answer)
}

// read reads an answer.
func (d *Driver) read(path string, status int, got []byte, answer any) error {
	var refused errorAnswer
	err := json.Unmarshal(got, &refused)
	said := refused.Error
	if said == "" {
		said = refused.Err
	}
	switch {
	case err == nil && said != "":
		return driverError(path, said)
	case status != http.StatusOK:
		return d.failf(path, "%w", &statusError{status, fmt.Sprintf("it answers with status %d: %s", status, clip(strings.TrimSpace(string(got))))})
	case err == nil && answer != nil:
		err = json.Unmarshal(got, answer)
	}
	if err != nil {
		return d.failf(path, "its answer is no JSON of the protocol: %v: %s", err, clip(string(got)))
	}
	return nil
}

// driverError is an error that the plug-in reports. The texts of package ipam keep their meaning.
func driverError(path, said string) error {
	for _, known := range []ipam.Error{ipam.ErrNoAddress, ipam.ErrAddressInUse, ipam.ErrOutOfRange, ipam.ErrPoolOverlap, ipam.ErrNoPool} {
		if strings.EqualFold(said, string(known)) {
			return known
		}
	}
	return fmt.Errorf("%s: %s", path[1:], clip(said))
}

// cause says what is behind an error of the HTTP client.
func cause(ctx context.Context, err error, limit time.Duration) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", limit)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("cannot connect: %w; does the plug-in run, and is this its socket?", op.Err)
	}
	return err
}

func text(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + " ..."
	}
	return s
}
