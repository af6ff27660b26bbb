package cnm

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

// TestModernRules checks the layout of today's engines, and that nothing of it stays (B17 to B20, E11).
func TestModernRules(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", func(cfg *Config) { cfg.Modern = true })
	dump := func() string {
		out := rulesOf(t, c, "-S") + rulesOf(t, c, "-t", "raw", "-S")
		return regexp.MustCompile(`br-[0-9a-f]{12}`).ReplaceAllString(out, "br-n2")
	}
	before := dump()
	r.network(c, NetworkConfig{Name: "n2", Options: map[string]string{optICC: "false"}})
	r.network(c, NetworkConfig{Name: "inner", Internal: true, Options: map[string]string{optBridgeName: "br-in"}})
	s := r.container(c, "web", published("bridge", PortBinding{HostPort: 8080, ContainerPort: 80},
		PortBinding{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 9090, ContainerPort: 90}))
	const want = `
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 90 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER ! -i br-n2 -o br-n2 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-BRIDGE -o br-n2 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-CT -o br-n2 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-FORWARD -i br-n2 -o br-n2 -j DROP
-A DOCKER-FORWARD -i br-n2 ! -o br-n2 -j ACCEPT
-A DOCKER-FORWARD -i br-in -o br-in -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i br-n2 ! -o br-n2 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 ! -s 172.19.0.0/16 -o br-in -j DROP
-A DOCKER-ISOLATION-STAGE-1 ! -d 172.19.0.0/16 -i br-in -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o br-n2 -j DROP
-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 9090 -j DROP
`
	got := onlyOf(dump(), "-A")
	for _, chain := range []string{"FORWARD", "DOCKER", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-FORWARD", "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2", "PREROUTING"} {
		if g, w := onlyOf(got, "-A "+chain+" "), onlyOf(want, "-A "+chain+" "); g != w {
			t.Errorf("%s:\n%s\nwant:\n%s", chain, g, w)
		}
	}
	if err := s.Delete(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"n2", "inner"} {
		if err := c.RemoveNetwork(n); err != nil {
			t.Fatal(err)
		}
	}
	if after := dump(); after != before {
		t.Errorf("rules after:\n%s\nbefore:\n%s", after, before)
	}
	if !strings.Contains(before, "-P FORWARD DROP") {
		t.Errorf("the policy of FORWARD is not DROP:\n%s", before)
	}
}
