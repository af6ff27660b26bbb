package cnm

import (
	"strings"
	"testing"
)

// TestRulesGolden checks the host's rules against what an engine of 2017 makes (B13 to B16).
func TestRulesGolden(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	r.container(c, "web", published("bridge", PortBinding{HostPort: 8080, ContainerPort: 80}))
	wantFilter := `-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER
-N DOCKER-ISOLATION
-A FORWARD -j DOCKER-ISOLATION
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION -j RETURN
`
	if got := rulesOf(t, c, "-S"); got != wantFilter {
		t.Errorf("filter:\n%s\nwant:\n%s", got, wantFilter)
	}
	wantNAT := `-P PREROUTING ACCEPT
-P INPUT ACCEPT
-P OUTPUT ACCEPT
-P POSTROUTING ACCEPT
-N DOCKER
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
`
	if got := rulesOf(t, c, "-t", "nat", "-S"); got != wantNAT {
		t.Errorf("nat:\n%s\nwant:\n%s", got, wantNAT)
	}
}

// TestRulesOfTwoNetworks checks where the rules of the networks after the first go, and that they go again (B13, B15).
func TestRulesOfTwoNetworks(t *testing.T) {
	r := newRig(t)
	c := r.host("host-a", "192.168.1.2/24", nil)
	before := rulesOf(t, c, "-S") + rulesOf(t, c, "-t", "nat", "-S")
	r.network(c, NetworkConfig{Name: "n2", Options: map[string]string{optBridgeName: "br2"}})
	r.network(c, NetworkConfig{Name: "n3", Options: map[string]string{optBridgeName: "br3", optICC: "false", optMasquerade: "false"}})
	r.network(c, NetworkConfig{Name: "n4", Options: map[string]string{optBridgeName: "br4"}, Internal: true})
	want := `-A FORWARD -j DOCKER-ISOLATION
-A FORWARD -i br4 -o br4 -j ACCEPT
-A FORWARD -o br3 -j DOCKER
-A FORWARD -o br3 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i br3 ! -o br3 -j ACCEPT
-A FORWARD -o br2 -j DOCKER
-A FORWARD -o br2 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i br2 ! -o br2 -j ACCEPT
-A FORWARD -i br2 -o br2 -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A FORWARD -i br3 -o br3 -j DROP
`
	if got := onlyOf(rulesOf(t, c, "-S", "FORWARD"), "-A"); got != want {
		t.Errorf("FORWARD:\n%s\nwant:\n%s", got, want)
	}
	want = `-A DOCKER-ISOLATION ! -s 172.20.0.0/16 -o br4 -j DROP
-A DOCKER-ISOLATION ! -d 172.20.0.0/16 -i br4 -j DROP
-A DOCKER-ISOLATION -i br2 -o br3 -j DROP
-A DOCKER-ISOLATION -i br3 -o br2 -j DROP
-A DOCKER-ISOLATION -i docker0 -o br3 -j DROP
-A DOCKER-ISOLATION -i br3 -o docker0 -j DROP
-A DOCKER-ISOLATION -i docker0 -o br2 -j DROP
-A DOCKER-ISOLATION -i br2 -o docker0 -j DROP
-A DOCKER-ISOLATION -j RETURN
`
	if got := onlyOf(rulesOf(t, c, "-S", chainIsolation), "-A"); got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", chainIsolation, got, want)
	}
	if nat := rulesOf(t, c, "-t", "nat", "-S"); strings.Contains(nat, "br3") || strings.Contains(nat, "172.19.") {
		t.Errorf("nat has rules of a network that is not masqueraded:\n%s", nat)
	}
	for _, name := range []string{"n2", "n4", "n3"} {
		if err := c.RemoveNetwork(name); err != nil {
			t.Error(err)
		}
	}
	if after := rulesOf(t, c, "-S") + rulesOf(t, c, "-t", "nat", "-S"); after != before {
		t.Errorf("rules after:\n%s\nbefore:\n%s", after, before)
	}
}

func onlyOf(text, prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}
