package lab

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/ipam"
	remoteipam "github.com/netsim-lab/netsim/docker/ipam/remote"
)

// TestPlugins checks that the engines of a lab know the plug-ins of the file, and that a process behind a socket need not
// run before it is used, nor after.
func TestPlugins(t *testing.T) {
	dir, err := os.MkdirTemp("", "plugin") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "corp.sock")
	l := start(t, fmt.Sprintf(`
netsim: 1
name: plugins
fabric:
  switches: {s1: {}}
  hosts:
    a: {links: {s1: 10.0.0.1/24}, engine: docker, userland_proxy: false}
plugins:
  corp: {socket: %q, timeout: 5s}
  links: {builtin: ptp}
  serial: {builtin: serial}
`, socket), Config{})
	eng := l.Engine("a")
	create := func(name, ipamDriver string) (*cnm.Network, error) {
		return eng.CreateNetwork(cnm.NetworkConfig{Name: name, Driver: "links", IPAMDriver: ipamDriver})
	}
	if _, err := create("early", "corp"); err == nil || !strings.Contains(err.Error(), "plugin corp at "+socket+": Plugin.Activate: cannot connect") {
		t.Errorf("CreateNetwork before the plug-in runs = %v", err)
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	srv := &http.Server{Handler: remoteipam.Handler(ipam.NewDriver(false, ipam.Range{Base: netip.MustParsePrefix("10.80.0.0/16"), Bits: 24}))}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	stop := func() { _ = srv.Close(); <-done }
	t.Cleanup(stop)
	if n, err := create("n1", "corp"); err != nil || n.Subnet().String() != "10.80.0.0/24" {
		t.Errorf("CreateNetwork = %v, %v", n, err)
	}
	if n, err := create("n2", "serial"); err != nil || n.Subnet().String() != "172.18.0.0/16" {
		t.Errorf("CreateNetwork with a builtin driver = %v, %v", n, err)
	}
	stop()
	if err := eng.RemoveNetwork("n1"); err != nil {
		t.Errorf("RemoveNetwork after the plug-in died = %v", err)
	}
}
