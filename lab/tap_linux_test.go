package lab_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/kernel"
	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/labtest"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/topologies"
)

// withKernel runs a topology that has hosts of the kernel.
func withKernel(t testing.TB, text string, cfg lab.Config, tools ...string) *labtest.Lab {
	t.Helper()
	if err := kernel.Check(); err != nil {
		t.Skip(err)
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	spec, err := topology.Parse(t.Name()+".yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return labtest.RunConfig(t, spec, cfg)
}

const oneKernelHost = `
netsim: 1
name: kernel
fabric:
  switches: {tor: {}}
  hosts:
    host-a: {links: {tor: 192.168.1.2/24}, engine: docker}
    server: {links: {tor: 192.168.1.3/24}}
    ns0: {links: {tor: 192.168.1.50/24}, kernel: true}
containers:
  db: {host: host-a, image: redis, ports: ["6379:6379"]}
`

// bothWays runs a test with trains that pass TAP devices whole, and frame by frame.
func bothWays(t *testing.T, test func(t *testing.T, cfg lab.Config)) {
	t.Run("whole", func(t *testing.T) { test(t, lab.Config{}) })
	t.Run("plain", func(t *testing.T) { test(t, lab.Config{PlainTAP: true}) })
}

func TestKernelBridgedTAP(t *testing.T) {
	src, err := topologies.Open("bridged-tap")
	if err != nil {
		t.Fatal(err)
	}
	withKernel(t, string(src), lab.Config{}, "ping", "curl").Play()
}

// The kernel's programs reach a published port, and simulated programs the kernel.
func TestKernelPrograms(t *testing.T) {
	bothWays(t, func(t *testing.T, cfg lab.Config) {
		l := withKernel(t, oneKernelHost, cfg, "ping", "redis-cli")
		// With -w ping waits for as many answers as it is to send requests. Without, it waits for the last one no longer than
		// its interval, which is little on a busy machine.
		for _, c := range []struct{ node, line, want string }{
			{"ns0", "ping -c 2 -w 10 -i 0.01 192.168.1.2", "icmp_seq=2 ttl=64"},
			{"ns0", "ping -c 1 -s 60000 192.168.1.2", "1 received"},
			{"ns0", "redis-cli -h 192.168.1.2 set pet cat && redis-cli -h 192.168.1.2 get pet", "OK\ncat"},
			{"ns0", "head -c 300000 /dev/zero | tr '\\0' x | redis-cli -h 192.168.1.2 -x set big && redis-cli -h 192.168.1.2 strlen big", "300000"},
			{"host-a/db", "ping -c 1 -s 30000 192.168.1.50", "1 received"},
			{"server", "ping -c 1 192.168.1.50", "1 received"},
		} {
			if out, exit := l.Sh(c.node, c.line); exit != 0 || !strings.Contains(out, c.want) {
				t.Errorf("%s: %s: status %d\n%s", c.node, c.line, exit, out)
			}
		}
	})
}

// What the kernel sends carries no mark: that is said, and not that there was no packet.
func TestKernelHostIsNotExplained(t *testing.T) {
	l := withKernel(t, oneKernelHost, lab.Config{})
	story, _, err := l.Explain(t.Context(), lab.ExecRequest{Node: "ns0", Line: "true"}, shell.Stdio{})
	if story != nil || err == nil || !strings.Contains(err.Error(), "ns0, a host of the kernel, cannot be followed") {
		t.Errorf("Explain = %v, %v", story, err)
	}
}

// A stream of the kernel's TCP arrives unchanged, either way.
func TestKernelTCPStream(t *testing.T) {
	const size = 20_000_000
	data := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog "), size/44)
	bothWays(t, func(t *testing.T, cfg lab.Config) {
		l := withKernel(t, oneKernelHost, cfg, "curl", "sha256sum")
		ln, err := l.Node("server").Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
		mux.HandleFunc("PUT /", func(w http.ResponseWriter, r *http.Request) {
			h := sha256.New()
			io.Copy(h, r.Body)
			fmt.Fprintf(w, "%x\n", h.Sum(nil))
		})
		srv := &http.Server{Handler: mux}
		var wg sync.WaitGroup
		wg.Go(func() { srv.Serve(ln) })
		defer wg.Wait()
		defer srv.Close()
		want := fmt.Sprintf("%x", sha256.Sum256(data))
		for _, line := range []string{
			"curl -sS http://192.168.1.3/ | sha256sum",
			"curl -sS http://192.168.1.3/ | curl -sS -T - http://192.168.1.3/",
		} {
			if out, exit := l.Sh("ns0", line); exit != 0 || !strings.HasPrefix(out, want) {
				t.Errorf("%s: status %d, %s; want %s", line, exit, out, want)
			}
		}
		for _, d := range l.Drops() {
			if d.Reason == "bad-checksum" || d.Reason == "malformed" {
				t.Errorf("%+v", d)
			}
		}
	})
}

// Datagrams of the kernel, whose checksums it leaves out, are right for a simulated host, and the other way round.
func TestKernelUDP(t *testing.T) {
	bothWays(t, func(t *testing.T, cfg lab.Config) {
		l := withKernel(t, oneKernelHost, cfg)
		pc, err := l.Node("server").ListenPacket("udp", ":7")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		defer pc.Close()
		wg.Go(func() {
			for b := make([]byte, 9000); ; {
				n, from, err := pc.ReadFrom(b)
				if err != nil {
					return
				}
				pc.WriteTo(b[:n], from)
			}
		})
		ns, err := kernel.OpenNamespace(l.Node("ns0").Info().Netns)
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		if err := ns.Do(echoDatagrams); err != nil {
			t.Error(err, l.Drops())
		}
	})
}

func echoDatagrams() error {
	c, err := net.Dial("udp", "192.168.1.3:7")
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	for _, size := range []int{1, 17, 1472, 5000} {
		out, in := bytes.Repeat([]byte{byte(size)}, size), make([]byte, 9000)
		if _, err := c.Write(out); err != nil {
			return err
		}
		n, err := c.Read(in)
		if err != nil || !bytes.Equal(in[:n], out) {
			return fmt.Errorf("a datagram of %d bytes: %d came back, %w", size, n, err)
		}
	}
	return nil
}

const twoKernelHosts = `
netsim: 1
name: two-kernels
fabric:
  switches: {tor: {}, spine: {}}
  routers:
    edge: {links: {tor: 10.1.0.1/24, spine: 10.2.0.1/24}}
  hosts:
    ns1: {links: {tor: 10.1.0.11/24}, kernel: true, gateway: 10.1.0.1}
    ns2: {links: {tor: 10.1.0.12/24}, kernel: true, routes: [{to: 10.2.0.0/24, via: 10.1.0.1}]}
    ns3: {links: {spine: 10.2.0.13/24}, kernel: true, gateway: 10.2.0.1}
`

// iperf measures what one host of the kernel sends another, in bits per second.
func iperf(t testing.TB, l *labtest.Lab, from, to, addr, flags string) float64 {
	t.Helper()
	if out, exit := l.Sh(to, "iperf3 -s -1 -D >/dev/null && sleep 0.3"); exit != 0 {
		t.Fatal(out)
	}
	out, exit := l.Sh(from, fmt.Sprintf("iperf3 -c %s -f k %s | awk '/receiver/ {for (i = 1; i <= NF; i++) if ($i ~ /bits/) print $(i-1)}'", addr, flags))
	var kbit float64
	if _, err := fmt.Sscan(out, &kbit); err != nil || exit != 0 {
		t.Fatalf("iperf3: status %d, %v: %s", exit, err, out)
	}
	return kbit * 1000
}

// Two kernels are connected by a simulated switch, and by a simulated router.
func TestKernelIperf3(t *testing.T) {
	bothWays(t, func(t *testing.T, cfg lab.Config) {
		l := withKernel(t, twoKernelHosts, cfg, "iperf3", "awk")
		for _, c := range [][3]string{{"ns1", "ns2", "10.1.0.12"}, {"ns2", "ns3", "10.2.0.13"}} {
			rate := iperf(t, l, c[0], c[1], c[2], "-t 1")
			t.Logf("%s to %s: %.2f Gbit/s", c[0], c[1], rate/1e9)
			if rate < 1e6 { // a connection that stalls; a busy machine is slow under the race detector
				t.Errorf("%s to %s: %.0f bit/s", c[0], c[1], rate)
			}
		}
		for _, d := range l.Drops() {
			if d.Reason == "bad-checksum" || d.Reason == "malformed" {
				t.Errorf("%+v", d)
			}
		}
	})
}

// The machine's iperf3 and the one of a simulated host are each other's client and server.
func TestKernelIperf3AndOurs(t *testing.T) {
	bothWays(t, func(t *testing.T, cfg lab.Config) {
		l := withKernel(t, oneKernelHost, cfg, "iperf3")
		for _, c := range []struct{ server, client, line string }{
			{"server", "ns0", "iperf3 -c 192.168.1.3 -n 20M"},
			{"server", "ns0", "iperf3 -c 192.168.1.3 -n 20M -R -P 2"},
			{"server", "ns0", "iperf3 -c 192.168.1.3 -u -b 50M -n 2M"},
			{"ns0", "server", "iperf3 -c 192.168.1.50 -n 20M"},
			{"ns0", "server", "iperf3 -c 192.168.1.50 -n 20M -R"},
		} {
			served := make(chan string)
			go func() {
				var b strings.Builder
				_, _ = l.Node(c.server).Run(t.Context(), "iperf3 -s -1", shell.Stdio{Out: &b, Err: &b})
				served <- b.String()
			}()
			out, exit := "", 1
			for end := time.Now().Add(5 * time.Second); exit != 0 && time.Now().Before(end); {
				out, exit = l.Sh(c.client, c.line) // refused until the server listens
			}
			if said := <-served; exit != 0 || !strings.Contains(out, "receiver") || !strings.Contains(said, "er\n") || strings.Contains(said, "error") {
				t.Errorf("%s: %s: status %d\n%s\nthe server said\n%s", c.client, c.line, exit, out, said)
			}
		}
	})
}

// A device that goes under load is told of once, and the lab goes on without.
func TestKernelTAPPulledOut(t *testing.T) {
	bothWays(t, func(t *testing.T, cfg lab.Config) {
		var log fabrictest.Output
		cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		l := withKernel(t, oneKernelHost, cfg, "ping", "ip")
		out, _ := l.Sh("ns0", "ping -q -f 192.168.1.3 >/dev/null & ping -q -f -s 5000 192.168.1.2 >/dev/null & sleep 0.3; ip link del eth0; echo gone")
		if !strings.Contains(out, "gone") {
			t.Error(out)
		}
		for end := time.Now().Add(5 * time.Second); log.String() == "" && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond) // a condition
		}
		if out, exit := l.Sh("server", "ping -c 3 -w 10 -i 0.01 192.168.1.2 && echo there; ping -c 1 -W 1 192.168.1.50"); exit != 1 || !strings.Contains(out, "there") {
			t.Errorf("status %d\n%s", exit, out)
		}
		if got := log.String(); strings.Count(got, "the device was removed") != 1 || strings.Count(got, "\n") != 1 {
			t.Errorf("the log says %q", got)
		}
	})
}

// A switch and a host have devices in a namespace that somebody else made; another comes and goes while the lab runs.
func TestKernelTAPOfTopology(t *testing.T) {
	if err := kernel.Check(); err != nil {
		t.Skip(err)
	}
	ns, err := kernel.NewNamespace()
	if err != nil {
		t.Skip(err)
	}
	defer ns.Close()
	l := withKernel(t, fmt.Sprintf(`
netsim: 1
name: taps
fabric:
  switches:
    tor: {tap: {name: t0, netns: %[1]s, address: 192.168.1.50/24}}
  hosts:
    host-a:
      links: {tor: 192.168.1.2/24}
      tap: [{name: t1, netns: %[1]s, address: 10.9.0.2/24, host_address: 10.9.0.1/24}]
`, ns.Path()), lab.Config{}, "ping", "ip")
	ping := func(addr string) bool {
		var out bytes.Buffer
		exit, err := ns.Run(t.Context(), kernel.Command{Args: []string{"ping", "-c", "1", "-W", "2", addr}, Stdout: &out})
		return err == nil && exit == 0
	}
	for _, addr := range []string{"192.168.1.2", "10.9.0.1"} {
		if !ping(addr) {
			t.Errorf("%s cannot be reached", addr)
		}
	}
	if out, exit := l.Sh("host-a", "ping -c 1 10.9.0.2 && ip addr show t1"); exit != 0 || !strings.Contains(out, "10.9.0.1/24") {
		t.Error(out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, ready := make(chan error, 1), make(chan lab.TAPInfo, 1)
	go func() {
		done <- l.TAP(ctx, lab.TAPRequest{Node: "host-a", Netns: ns.Path(), HostAddress: netip.MustParsePrefix("10.8.0.1/24"), Address: netip.MustParsePrefix("10.8.0.2/24")},
			func(i lab.TAPInfo) { ready <- i })
	}()
	if i := <-ready; i.Name != "tap0" || !ping("10.8.0.1") {
		t.Errorf("%+v does not answer", i)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := ns.Do(func() error { _, err := net.InterfaceByName("tap0"); return err }); err == nil {
		t.Error("the device stayed")
	}
	for _, r := range []lab.TAPRequest{{Node: "nobody"}, {Node: "tor", HostAddress: netip.MustParsePrefix("10.8.0.1/24")}, {Node: "tor", Netns: "no-such"},
		{Node: "tor", Name: "t0", Netns: ns.Path()}} {
		if err := l.TAP(t.Context(), r, nil); err == nil || errors.Is(err, lab.ErrUnable) {
			t.Errorf("TAP(%+v) = %v", r, err)
		}
	}
}
