package topology_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/lab/topology"
)

const splitText = `
netsim: 1
name: split
fabric:
  switches: {tor: {}, leaf: {remote: 127.0.0.1:4791}}
  routers:
    r: {links: {tor: 192.168.1.1/24, leaf: 10.0.0.1/24}}
  hosts:
    a: {links: {tor: 192.168.1.2/24}, engine: docker}
    b: {links: {tor: 192.168.1.3/24}, engine: docker, remote: 127.0.0.1:4790}
    c: {links: {leaf: 10.0.0.2/24}, remote: 127.0.0.1:4791}
  links: [{between: [b, tor], vni: 42}]
swarm: {managers: [b]}
networks:
  over: {driver: overlay, attachable: true}
  near: {driver: bridge, host: [a, b]}
services: {web: {image: nginx, networks: [over]}}
containers:
  one: {host: a, image: redis, networks: [near]}
  two: {host: b, image: redis, networks: [near, over]}
expose: {8080: "a:80", 8081: "web.1:80", 8082: "r:80"}
steps:
  - {on: a, run: "true"}
  - {on: b/two, run: "true"}
  - {on: web.1, run: "true"}
  - {on: c, run: "true"}
`

// view says what a part of the lab has.
func view(s *topology.Spec) string {
	var words []string
	for _, h := range s.Fabric.Hosts {
		if !h.Remote.IsValid() {
			words = append(words, h.Name)
		}
	}
	words = append(words, "|")
	for _, n := range s.Networks {
		words = append(words, n.Name)
		for _, h := range n.Hosts {
			words = append(words, "@"+h.Name)
		}
	}
	words = append(words, "|")
	for _, c := range s.Containers {
		words = append(words, c.Name)
	}
	for _, x := range s.Services {
		words = append(words, x.Name)
	}
	words = append(words, "|")
	for _, e := range s.Expose {
		words = append(words, e.Target())
	}
	words = append(words, "|")
	for _, x := range s.Steps {
		words = append(words, x.On.Text)
	}
	return strings.Join(words, " ")
}

func TestPartsOfALab(t *testing.T) {
	spec, err := topology.Parse("split.yaml", []byte(splitText))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := view(spec.Local()), "a | near @a | one | a:80 r:80 | a"; got != want {
		t.Errorf("Local has %q; want %q", got, want)
	}
	for at, want := range map[string]string{
		"127.0.0.1:4790": "b | over near @b | two web | web.1:80 | b/two web.1",
		"127.0.0.1:4791": "c | near | | | c",
	} {
		here := netip.MustParseAddrPort(at)
		part, err := spec.At(here)
		if err != nil {
			t.Fatal(err)
		}
		if got := view(part.Local()); got != want {
			t.Errorf("At(%s) has %q; want %q", at, got, want)
		}
		if part.Fabric.Listen != here || part.Name != "split-"+at[10:] {
			t.Errorf("At(%s) listens at %s as %s", at, part.Fabric.Listen, part.Name)
		}
		if got := part.Fabric.Remotes()["a"]; got.String() != "127.0.0.1:4789" {
			t.Errorf("At(%s) takes a to be at %s; want 127.0.0.1:4789", at, got)
		}
		back, err := part.At(spec.Fabric.Listen)
		if err != nil || view(back.Local()) != view(spec.Local()) {
			t.Errorf("At(%s).At(the first) = %v, %v; want what the file says", at, back, err)
		}
	}
	if _, err := spec.At(netip.MustParseAddrPort("127.0.0.1:9")); err == nil || !strings.HasSuffix(err.Error(), "there are some at 127.0.0.1:4790, 127.0.0.1:4791") {
		t.Errorf("At(nobody's) = %v; want an error that names the others", err)
	}
}

// The two ends of a cable know it by one VNI, whatever else their files say.
func TestVNIs(t *testing.T) {
	vnis := func(text string) map[string]uint32 {
		spec, err := topology.Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]uint32{}
		for _, c := range spec.Fabric.Cables() {
			all[min(c.A.Node, c.B.Node)+"-"+max(c.A.Node, c.B.Node)] = c.VNI
		}
		return all
	}
	whole := vnis(splitText)
	if whole["b-tor"] != 42 {
		t.Errorf("VNI %d; want 42, as links has it", whole["b-tor"])
	}
	other := vnis(`
netsim: 1
fabric:
  switches: {leaf: {remote: 127.0.0.1:4790}}
  hosts: {c: {links: {leaf: 10.0.0.2/24}}}
`)
	if v := other["c-leaf"]; v != whole["c-leaf"] || v>>23 != 1 {
		t.Errorf("VNIs %d and %d; want the same, of the upper half", v, whole["c-leaf"])
	}
}
