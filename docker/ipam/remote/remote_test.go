package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/docker/ipam"
)

// pluginEnv names the socket that this test binary, run anew, serves a plug-in on.
const pluginEnv = "NETSIM_TEST_IPAM_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(pluginEnv); socket != "" {
		ln, err := net.Listen("unix", socket)
		if err == nil {
			d := ipam.NewDriver(true, ipam.Range{Base: netip.MustParsePrefix("10.200.0.0/15"), Bits: 24})
			err = http.Serve(ln, Handler(d))
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// plugin starts a plug-in in a process of its own, and returns how to end it.
func plugin(t *testing.T, socket string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), pluginEnv+"="+socket)
	if err := cmd.Start(); err != nil {
		t.Skipf("this test runs itself as a plug-in: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the plug-in does not serve: %v", err)
		}
	}
	var ended bool
	kill = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			_ = os.Remove(socket)
		}
	}
	t.Cleanup(kill)
	return kill
}

func socketPath(t *testing.T) string {
	dir, err := os.MkdirTemp("", "ipam") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s.sock")
}

// TestPlugin goes through the protocol with a plug-in in its own process, which dies and comes back.
func TestPlugin(t *testing.T) {
	socket, ctx := socketPath(t), context.Background()
	d := New(Config{Name: "corp", Socket: socket})
	if _, err := d.RequestPool(ctx, ipam.PoolRequest{}); err == nil || !strings.Contains(err.Error(), "plugin corp at "+socket+": Plugin.Activate: cannot connect:") {
		t.Errorf("RequestPool of a plug-in that does not run = %v", err)
	}
	kill := plugin(t, socket)
	lease, err := d.RequestPool(ctx, ipam.PoolRequest{})
	if err != nil || lease.Subnet.String() != "10.200.0.0/24" {
		t.Fatalf("RequestPool = %+v, %v; want 10.200.0.0/24", lease, err)
	}
	given, err := d.RequestPool(ctx, ipam.PoolRequest{Subnet: netip.MustParsePrefix("10.9.0.0/24"), Range: netip.MustParsePrefix("10.9.0.128/25")})
	if err != nil || given.Subnet.String() != "10.9.0.0/24" {
		t.Errorf("RequestPool(10.9.0.0/24) = %+v, %v", given, err)
	}
	ask := func(pool, addr string, gateway bool) string {
		r := ipam.AddressRequest{Pool: pool, Gateway: gateway}
		if addr != "" {
			r.Addr = netip.MustParseAddr(addr)
		}
		p, err := d.RequestAddress(ctx, r)
		if err != nil {
			return err.Error()
		}
		return p.String()
	}
	for i, tt := range []struct{ got, want string }{
		{ask(lease.ID, "", true), "10.200.0.1/24"},
		{ask(lease.ID, "", false), "10.200.0.2/24"},
		{ask(lease.ID, "10.200.0.9", false), "10.200.0.9/24"},
		{ask(lease.ID, "10.200.0.9", false), "Address already in use"},
		{ask(lease.ID, "10.1.0.9", false), "Requested address is out of range"},
		{ask(given.ID, "", true), "10.9.0.1/24"},
		{ask(given.ID, "", false), "10.9.0.128/24"},
		{ask("no pool", "", false), "IpamDriver.RequestAddress: Unknown address pool"},
	} {
		if tt.got != tt.want {
			t.Errorf("address %d = %s; want %s", i, tt.got, tt.want)
		}
	}
	if _, err := d.RequestPool(ctx, ipam.PoolRequest{Subnet: lease.Subnet}); !errors.Is(err, ipam.ErrPoolOverlap) {
		t.Errorf("RequestPool of a pool in use = %v; want ErrPoolOverlap", err)
	}
	if err := d.ReleaseAddress(ctx, lease.ID, netip.MustParseAddr("10.200.0.2")); err != nil {
		t.Error(err)
	}
	if got := ask(lease.ID, "", false); got != "10.200.0.3/24" {
		t.Errorf("the next address = %s; want 10.200.0.3/24: the plug-in is serial", got)
	}
	kill()
	if got := ask(lease.ID, "", false); !strings.Contains(got, "does the plug-in run") {
		t.Errorf("address of a plug-in that died = %s", got)
	}
	plugin(t, socket)
	if lease, err := d.RequestPool(ctx, ipam.PoolRequest{}); err != nil || lease.Subnet.String() != "10.200.0.0/24" {
		t.Errorf("RequestPool of one that came back = %+v, %v", lease, err)
	}
	if err := d.ReleasePool(ctx, "1"); err != nil {
		t.Error(err)
	}
}

// TestBadPlugins checks what is said of plug-ins that do not do as they should.
func TestBadPlugins(t *testing.T) {
	good := Handler(ipam.NewDriver(false, ipam.Local()...))
	answer := func(path, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				_, _ = w.Write([]byte(body))
				return
			}
			good.ServeHTTP(w, r)
		}
	}
	hang := make(chan struct{})
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"another kind", answer(pathActivate, `{"Implements": ["VolumeDriver"]}`), "it implements VolumeDriver, not IpamDriver"},
		{"garbage", answer(pathRequestPool, "<html>hello"), "its answer is no JSON of the protocol: invalid character '<' looking for beginning of value: <html>hello"},
		{"wrong types", answer(pathRequestPool, `{"PoolID": 7}`), "its answer is no JSON of the protocol"},
		{"no pool", answer(pathRequestPool, `{"PoolID": "a"}`), "its answer is not understood"},
		{"no id", answer(pathRequestPool, `{"Pool": "10.0.0.0/24"}`), "the pool has no id"},
		{"a gateway that is none", answer(pathRequestPool, `{"PoolID": "a", "Pool": "10.0.0.0/24", "Data": {"com.docker.network.gateway": "x"}}`), "its answer is not understood"},
		{"an error", answer(pathRequestPool, `{"Error": "the IPAM server is closed on Mondays"}`), "IpamDriver.RequestPool: the IPAM server is closed on Mondays"},
		{"a known error", answer(pathRequestPool, `{"Error": "pool overlaps with other one on this address space"}`), "Pool overlaps with other one on this address space"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for range 40 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		}, "its answer is longer than 1048576 bytes"},
		{"no such call", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, "it answers with status 404: 404 page not found"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere/", http.StatusFound)
		}, "must not redirect"},
		{"hung", func(_ http.ResponseWriter, r *http.Request) { <-hang }, "no answer within 100ms"},
		{"gone in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"`))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			socket := socketPath(t)
			ln, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: tt.handler}
			done := make(chan struct{})
			go func() { defer close(done); _ = srv.Serve(ln) }()
			defer func() { _ = srv.Close(); <-done }()
			limit := 10 * time.Second
			if tt.name == "hung" {
				limit = 100 * time.Millisecond
				defer close(hang)
			}
			_, err = New(Config{Name: "bad", Socket: socket, Timeout: limit}).RequestPool(context.Background(), ipam.PoolRequest{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("RequestPool = %v; want %q", err, tt.want)
			}
		})
	}
	t.Run("one of the first days has no capabilities", func(t *testing.T) {
		socket := socketPath(t)
		ln, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == pathCapabilities {
				http.NotFound(w, r)
				return
			}
			good.ServeHTTP(w, r)
		})}
		done := make(chan struct{})
		go func() { defer close(done); _ = srv.Serve(ln) }()
		defer func() { _ = srv.Close(); <-done }()
		if _, err := New(Config{Name: "old", Socket: socket}).RequestPool(context.Background(), ipam.PoolRequest{}); err != nil {
			t.Error(err)
		}
	})
}

// FuzzAnswer feeds answers of a plug-in to the code that reads them.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"PoolID":"a","Pool":"10.0.0.0/24","Data":{"com.docker.network.gateway":"10.0.0.1/24"}}`))
	f.Add(500, []byte(`{"Error":"no"}`))
	f.Add(404, []byte("404 page not found"))
	d := New(Config{Name: "fuzz", Socket: "/nowhere"})
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		var got poolAnswer
		err := d.read(pathRequestPool, status, body, &got)
		if err == nil && status != http.StatusOK {
			t.Errorf("status %d passes", status)
		}
		if err != nil && len(err.Error()) > 2*maxText+600 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
