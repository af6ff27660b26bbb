package engine_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// shellOut runs a line in a container and returns what it prints.
func shellOut(t testing.TB, c *engine.Container, line string) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := c.Run(soon(t), line, shell.Stdio{Out: &out, Err: &out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func sleeper(name string) engine.ContainerConfig {
	return engine.ContainerConfig{Name: name, Image: "busybox", Command: []string{"sleep", "600"}}
}

func network(t testing.TB, e *engine.Engine, name, subnet string) *cnm.Network {
	t.Helper()
	n, err := e.CreateNetwork(cnm.NetworkConfig{Name: name, Subnet: netip.MustParsePrefix(subnet)})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestConnectAndDisconnect(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	network(t, e, "n1", "10.1.0.0/24")
	network(t, e, "n2", "10.2.0.0/24")
	c := run(t, e, sleeper("c1"))
	ep := cnm.EndpointConfig{IP: addr("10.1.0.9"), Aliases: []string{"nick"}, MAC: wire.MAC{2, 0, 0, 0, 0, 9}}
	if err := e.ConnectNetwork(soon(t), "n1", "c1", ep); err != nil {
		t.Fatal(err)
	}
	peer := sleeper("c2")
	peer.NetworkMode = "n1"
	other := run(t, e, peer)
	if got := shellOut(t, other, "ping -c 1 nick | grep -c 10.1.0.9; arp -n | grep -ci 02:00:00:00:00:09"); got != "2\n1\n" {
		t.Errorf("by its alias: %q", got)
	}
	if err := e.ConnectNetwork(soon(t), "n1", "c1", cnm.EndpointConfig{}); !errors.Is(err, engine.ErrForbidden) {
		t.Errorf("connect twice: %v", err)
	}
	if err := e.RemoveNetwork("n1"); err == nil || err.Error() != "network n1 has active endpoints" {
		t.Errorf("B35: %v", err)
	}
	// What it is connected to outlives its runs, with its settings.
	if err := c.Restart(soon(t), engine.StopOptions{Timeout: immediately}); err != nil {
		t.Fatal(err)
	}
	if got, ok := c.Sandbox().Endpoint("n1"); !ok || got.IP() != addr("10.1.0.9") {
		t.Errorf("after a restart: %v", got)
	}
	if err := e.DisconnectNetwork(soon(t), "n1", "c1", false); err != nil {
		t.Fatal(err)
	}
	if err := e.DisconnectNetwork(soon(t), "n1", "c1", false); err == nil || err.Error() != "container "+c.ID()+" is not connected to the network n1" {
		t.Errorf("B41: %v", err)
	}
	if err := c.Kill(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	// A stopped container changes what it will join.
	if err := e.ConnectNetwork(soon(t), "n2", "c1", cnm.EndpointConfig{IP: addr("10.2.0.7")}); err != nil {
		t.Fatal(err)
	}
	if err := e.DisconnectNetwork(soon(t), "bridge", "c1", false); err != nil {
		t.Fatal(err)
	}
	if err := e.ConnectNetwork(soon(t), "none", "c1", cnm.EndpointConfig{}); !errors.Is(err, engine.ErrForbidden) {
		t.Errorf("H7: %v", err)
	}
	if err := c.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	if eps := c.Sandbox().Endpoints(); len(eps) != 1 || eps[0].IP() != addr("10.2.0.7") {
		t.Errorf("after its start: %v", eps)
	}
	info := c.Inspect().Network
	if len(info.Networks) != 1 || info.Networks[0].Network != "n2" || info.Networks[0].IP.String() != "10.2.0.7/24" ||
		info.Networks[0].Gateway != addr("10.2.0.1") || !slices.Contains(info.Networks[0].DNSNames, "c1") {
		t.Errorf("Inspect: %+v", info)
	}
	if err := other.Remove(soon(t), engine.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if got := e.PruneNetworks(nil); !slices.Equal(got, []string{"n1"}) {
		t.Errorf("prune removed %q; want n1", got)
	}
	if err := c.Stop(soon(t), engine.StopOptions{Timeout: immediately}); err != nil {
		t.Fatal(err)
	}
	if got := e.PruneNetworks(nil); !slices.Equal(got, []string{"n2"}) {
		t.Errorf("prune beside a container that does not run removed %q; want n2 (B42)", got)
	}
	if err := c.Start(soon(t)); !errors.Is(err, engine.ErrNotFound) || err.Error() != "network n2 not found" {
		t.Errorf("a start without its network: %v", err)
	}
}

func TestContainerNetworkMode(t *testing.T) {
	e, host, _ := newEngine(t, 1)
	web := run(t, e, engine.ContainerConfig{Name: "web", Image: "nginx", Hostname: "webby"})
	side := sleeper("side")
	side.NetworkMode = "container:web"
	c := run(t, e, side)
	eventually(t, "nginx answers", func() bool { _, err := get(soon(t), host, "172.17.0.2:80"); return err == nil })
	if got := shellOut(t, c, "hostname; wget -qO- http://127.0.0.1/ | grep -c Welcome"); !strings.HasPrefix(got, "webby\n") || got == "webby\n0\n" {
		t.Errorf("it sees %q", got)
	}
	if err := e.ConnectNetwork(soon(t), "bridge", "side", cnm.EndpointConfig{}); err == nil ||
		err.Error() != "Container sharing network namespace with another container or host cannot be connected to any other network" {
		t.Errorf("H6: %v", err)
	}
	if err := c.Kill(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := get(soon(t), host, "172.17.0.2:80"); err != nil {
		t.Errorf("the owner's network ended with the guest: %v", err)
	}
	if err := web.Kill(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(soon(t)); err == nil || err.Error() != "cannot join network of a non running container: "+web.ID() {
		t.Errorf("H8: %v", err)
	}
	for _, row := range []struct {
		show   string
		change func(*engine.ContainerConfig)
		want   string
	}{
		{"-p", func(c *engine.ContainerConfig) { c.PublishAll = true }, "conflicting options: port publishing and the container type network mode"},
		{"--expose", func(c *engine.ContainerConfig) { c.ExposedPorts = []string{"80/tcp"} }, "conflicting options: port exposing and the container type network mode"},
		{"-h", func(c *engine.ContainerConfig) { c.Hostname = "x" }, "Conflicting options: hostname and the network mode"},
		{"--dns", func(c *engine.ContainerConfig) { c.DNS = []netip.Addr{addr("8.8.8.8")} }, "Conflicting options: dns and the network mode"},
		{"--add-host", func(c *engine.ContainerConfig) { c.ExtraHosts = []string{"a:1.2.3.4"} }, "Conflicting options: custom host-to-IP mapping and the network mode"},
		{"--mac-address", func(c *engine.ContainerConfig) { c.MAC = wire.MAC{2} }, "Conflicting options: mac-address and the network mode"},
	} {
		cfg := engine.ContainerConfig{Image: "busybox", NetworkMode: "container:web"}
		row.change(&cfg)
		if _, err := e.Create(cfg); !errors.Is(err, engine.ErrInvalid) || err.Error() != row.want {
			t.Errorf("H8 %s: %v; want %s", row.show, err, row.want)
		}
	}
}

// B26, B27, H2: ports of the host.
func TestPorts(t *testing.T) {
	e, host, _ := newEngine(t, 1)
	listen, err := host.Listen("tcp", ":8001")
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close() //nolint:errcheck // it is the test's
	publish := func(name string, all bool, specs ...[3]string) *engine.Container {
		cfg := engine.ContainerConfig{Name: name, Image: "nginx", PublishAll: all, ExposedPorts: []string{"53/udp"}}
		for _, s := range specs {
			b, err := engine.ParsePortBinding(s[0], s[1], s[2])
			if err != nil {
				t.Fatal(err)
			}
			cfg.Ports = append(cfg.Ports, b)
		}
		return run(t, e, cfg)
	}
	ports := func(c *engine.Container) string {
		var all []string
		for _, p := range c.Inspect().Network.Ports {
			all = append(all, netip.AddrPortFrom(p.HostIP, p.HostPort).String()+">"+itoa(p.ContainerPort)+p.Proto)
		}
		return strings.Join(all, " ")
	}
	for i, row := range []struct {
		show string
		c    *engine.Container
		want string
	}{
		{"a range", publish("c1", false, [3]string{"80/tcp", "", "8000-8010"}), "0.0.0.0:8000>80tcp"},
		{"its next, passing over what a process of the host has", publish("c2", false, [3]string{"80", "", "8000-8010"}), "0.0.0.0:8002>80tcp"},
		{"an address", publish("c3", false, [3]string{"80/tcp", "127.0.0.1", "9000"}), "127.0.0.1:9000>80tcp"},
		{"-P beside -p", publish("c4", true, [3]string{"80/tcp", "", ""}), "0.0.0.0:32768>80tcp 0.0.0.0:32768>53udp 0.0.0.0:32769>443tcp"},
	} {
		if got := ports(row.c); got != row.want {
			t.Errorf("%d %s: %s; want %s", i, row.show, got, row.want)
		}
	}
	c5 := create(t, e, engine.ContainerConfig{Name: "c5", Image: "nginx", Ports: []cnm.PortBinding{{HostPort: 8000, ContainerPort: 80}}})
	err = c5.Start(soon(t))
	if want := "driver failed programming external connectivity on endpoint c5 ("; err == nil || !strings.HasPrefix(err.Error(), want) ||
		!strings.HasSuffix(err.Error(), "Bind for 0.0.0.0:8000 failed: port is already allocated") || errors.Is(err, engine.ErrForbidden) {
		t.Errorf("B28: %v", err)
	}
	for _, bad := range [][3]string{{"0/tcp", "", ""}, {"80/sctp", "", ""}, {"80/tcp", "300.1.1.1", ""}, {"80", "", "9-8"}, {"80", "", "99999"}} {
		if _, err := engine.ParsePortBinding(bad[0], bad[1], bad[2]); !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("ParsePortBinding(%q): %v", bad, err)
		}
	}
}

// D2: a link on the default bridge is names in /etc/hosts and variables; D4, D5: the files.
func TestLinksAndFiles(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	db := run(t, e, engine.ContainerConfig{Name: "db", Image: "redis", Env: []string{"MODE=fast"}})
	cfg := sleeper("web")
	cfg.Links, cfg.Hostname, cfg.Domainname = []string{"db:store"}, "web", "example.com"
	cfg.ExtraHosts = []string{"gate:host-gateway", "foo:1.2.3.4"}
	cfg.DNS, cfg.DNSSearch, cfg.DNSOptions = []netip.Addr{addr("9.9.9.9")}, []string{"corp"}, []string{"timeout:1"}
	cfg.Env, cfg.WorkingDir = []string{"B=2", "A=1", "HOSTNAME=mine"}, "/srv"
	c := run(t, e, cfg)
	files := shellOut(t, c, "cat /etc/hosts /etc/resolv.conf")
	for _, want := range []string{"172.17.0.3\tweb.example.com web\n", "172.17.0.2\tstore " + db.ID()[:12] + " db\n", "172.17.0.1\tgate\n1.2.3.4\tfoo\n",
		"search corp\nnameserver 9.9.9.9\noptions timeout:1\n"} {
		if !strings.Contains(files, want) {
			t.Errorf("files lack %q:\n%s", want, files)
		}
	}
	env := shellOut(t, c, "env")
	for _, want := range []string{"STORE_PORT=tcp://172.17.0.2:6379\n", "STORE_PORT_6379_TCP_ADDR=172.17.0.2\n", "STORE_NAME=/web/store\n", "STORE_ENV_MODE=fast\n", "A=1\n", "HOSTNAME=mine\n"} {
		if !strings.Contains(env, want) {
			t.Errorf("env lacks %q:\n%s", want, env)
		}
	}
	if got := shellOut(t, c, "ping -c 1 store | grep -c 172.17.0.2"); got != "2\n" {
		t.Errorf("ping store: %q", got)
	}
	if err := db.Kill(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(soon(t), engine.StopOptions{Timeout: immediately}); err == nil || err.Error() != "Cannot link to a non running container: /db AS /web/store" {
		t.Errorf("link with what does not run: %v", err)
	}
	if _, err := e.Create(engine.ContainerConfig{Image: "busybox", Links: []string{"nobody"}}); err == nil || err.Error() != "could not get container for nobody: No such container: nobody" {
		t.Errorf("link with nobody: %v", err)
	}
}

// Nothing of a container touches the real machine.
func TestReachIsRefused(t *testing.T) {
	e, _, _ := newEngine(t, 1)
	for show, cfg := range map[string]engine.ContainerConfig{
		"-v /etc:/etc":  {Binds: []string{"/etc:/etc:ro"}},
		"-v ./x:/x":     {Binds: []string{"./x:/x"}},
		"--mount bind":  {Mounts: []engine.Mount{{Type: "bind", Source: "/", Target: "/host"}}},
		"--device":      {Devices: []string{"/dev/kmsg"}},
		"--pid host":    {PIDMode: "host"},
		"--ipc host":    {IPCMode: "host"},
		"--userns host": {UsernsMode: "host"},
	} {
		cfg.Image = "busybox"
		if _, err := e.Create(cfg); !errors.Is(err, engine.ErrForbidden) || !strings.Contains(err.Error(), "simulated host") {
			t.Errorf("%s: %v", show, err)
		}
	}
	c := create(t, e, engine.ContainerConfig{
		Image: "busybox", Privileged: true, ReadonlyRootfs: true, CapAdd: []string{"NET_ADMIN"}, Binds: []string{"data:/data:ro"}, Volumes: []string{"/var/lib"},
	})
	if got := c.Inspect().Mounts; len(got) != 2 || !got[1].ReadOnly || got[1].Source != "data" || len(c.Warnings()) != 1 {
		t.Errorf("mounts %+v, warnings %q", got, c.Warnings())
	}
}

var immediately = new(time.Duration)
