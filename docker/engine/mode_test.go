package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
)

// H1: a container in host mode has the host's interfaces, routes, ports and name, and two of them cannot have one port.
func TestHostMode(t *testing.T) {
	e, host, _ := newEngine(t, 1)
	mode := func(name, image string) engine.ContainerConfig {
		return engine.ContainerConfig{Name: name, Image: image, NetworkMode: "host"}
	}
	cfg := mode("guest", "busybox")
	cfg.Command = []string{"sleep", "600"}
	c := run(t, e, cfg)
	if c.NS() != host {
		t.Errorf("it is in %s", c.NS().Name())
	}
	got := shellOut(t, c, "hostname; ip -o link | grep -c docker0; ip route | grep -c 172.17.0.0/16; cat /etc/hosts | grep -c localhost")
	if want := "host-a\n1\n1\n"; !strings.HasPrefix(got, want) || got == want+"0\n" {
		t.Errorf("it sees %q; want %q and its /etc/hosts", got, want)
	}
	cfg = mode("named", "busybox")
	cfg.Command, cfg.Hostname = []string{"sleep", "600"}, "own"
	if got := shellOut(t, run(t, e, cfg), "hostname"); got != "own\n" {
		t.Errorf("--hostname own gives %q", got)
	}
	run(t, e, mode("first", "redis"))
	eventually(t, "it listens", func() bool {
		conn, err := host.Dial(soon(t), "tcp", "127.0.0.1:6379")
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	second := run(t, e, mode("second", "redis"))
	eventually(t, "the second ends", func() bool { return second.State() == engine.Exited })
	if info := second.Inspect(); info.State.ExitCode == 0 {
		t.Errorf("the second redis ended with %d; the port is taken", info.State.ExitCode)
	}
}

// What a container in mode host, container or none may join and leave, running or not, in both eras (H2, H3, H5 to H7).
func TestNetworkModesAlone(t *testing.T) {
	const (
		shared       = "ontainer sharing network namespace with another container or host cannot be connected to any other network"
		private      = "ontainer cannot be connected to multiple networks with one of the networks in private (none) mode"
		guideHost    = "Container cannot be disconnected from host network or connected to host network"
		connectHost  = "cannot connect container to host network - container must be created in host network mode"
		disconnected = "cannot disconnect container from host network - container was created in host network mode"
	)
	for _, modern := range []bool{false, true} {
		e, _, _ := newEngineOf(t, 1, modern)
		network(t, e, "n1", "10.1.0.0/24")
		say := func(guide, today string) string {
			if modern {
				return today
			}
			return guide
		}
		for _, running := range []bool{true, false} {
			make := func(mode string) *engine.Container {
				cfg := sleeper("")
				cfg.NetworkMode = mode
				if running {
					return run(t, e, cfg)
				}
				return create(t, e, cfg)
			}
			hosted, alone, plain := make("host"), make("none"), make("bridge")
			connect := func(c *engine.Container, network string) error {
				return e.ConnectNetwork(soon(t), network, c.ID(), cnm.EndpointConfig{})
			}
			for _, row := range []struct {
				show string
				err  error
				want string
			}{
				{"H5 bridge to host", connect(plain, "host"), say(guideHost, connectHost)},
				{"H5 none to host", connect(alone, "host"), say(guideHost, connectHost)},
				{"H6 host to bridge", connect(hosted, "n1"), say("C"+shared, "c"+shared)},
				{"H6 host to none", connect(hosted, "none"), say("C"+shared, "c"+shared)},
				{"H7 none to bridge", connect(alone, "n1"), say("C"+private, "c"+private)},
				{"H7 bridge to none", connect(plain, "none"), say("C"+private, "c"+private)},
			} {
				if row.err == nil || row.err.Error() != row.want || !errors.Is(row.err, engine.ErrForbidden) {
					t.Errorf("modern %t, running %t: %s: %v; want %s", modern, running, row.show, row.err, row.want)
				}
			}
			if err := e.DisconnectNetwork(soon(t), "host", hosted.ID(), false); running && (err == nil || err.Error() != say(guideHost, disconnected)) {
				t.Errorf("modern %t: H6 off host: %v", modern, err)
			}
		}
		guest := sleeper("guest")
		guest.NetworkMode = "container:owner"
		run(t, e, sleeper("owner"))
		run(t, e, guest)
		if err := e.ConnectNetwork(soon(t), "n1", "guest", cnm.EndpointConfig{}); err == nil || err.Error() != say("C"+shared, "c"+shared) {
			t.Errorf("modern %t: H6 container: %v", modern, err)
		}
		published := sleeper("published")
		published.NetworkMode, published.Ports = "host", []cnm.PortBinding{{HostPort: 8000, ContainerPort: 80}}
		c, err := e.Create(published)
		if err != nil {
			t.Fatal(err)
		}
		var want []string // H2: without a word in 2017
		if modern {
			want = []string{"Published ports are discarded when using host network mode"}
		}
		if got := strings.Join(c.Warnings(), "; "); got != strings.Join(want, "; ") {
			t.Errorf("modern %t: H2: warnings %q; want %q", modern, got, want)
		}
		lonely := sleeper("lonely")
		lonely.NetworkMode = "none"
		got := shellOut(t, run(t, e, lonely), "ip -o link | wc -l; ip route | wc -l; ping -c 1 172.17.0.1")
		if !strings.HasPrefix(got, "1\n0\n") || !strings.Contains(got, "Network is unreachable") {
			t.Errorf("modern %t: H3: %s", modern, got)
		}
	}
}
