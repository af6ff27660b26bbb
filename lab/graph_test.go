package lab

import (
	"strings"
	"testing"
)

func TestGraph(t *testing.T) {
	spec := parse(t, bridgeLab)
	for format, want := range map[string][]string{
		GraphMermaid: {"flowchart TB", `[["tor"]]`, `"host-a<br/>engine: docker"`, `---|"192.168.1.2/24"|`, "8000 -&gt; 5000/tcp"},
		GraphDOT:     {`graph "bridge-lab" {`, `[shape=box3d, label="tor"]`, `[label="192.168.1.2/24"]`, `label="catnet\nbridge 172.19.0.0/16"`, "}\n"},
	} {
		got, err := Graph(spec, format)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in\n%s", format, w, got)
			}
		}
	}
	away, err := Graph(parse(t, strings.Replace(bridgeLab, "client: {", "client: {remote: 127.0.0.1:4790, ", 1)), GraphMermaid)
	if err != nil || !strings.Contains(away, `"client<br/>remote: 127.0.0.1:4790"`) {
		t.Errorf("Graph = %v; nothing says where the remote host is in\n%s", err, away)
	}
	kernel := strings.NewReplacer("tor: {}", "tor: {tap: {name: tap0, address: 192.168.1.60/24}}", "client: {", "client: {kernel: true, ").Replace(bridgeLab)
	for format, want := range map[string][]string{
		GraphMermaid: {`[/"tap0<br/>192.168.1.60/24<br/>the machine's kernel"/]`, `"client<br/>a namespace of the kernel"`},
		GraphDOT:     {`[shape=cds, label="tap0\n192.168.1.60/24\nthe machine's kernel"]`},
	} {
		got, err := Graph(parse(t, kernel), format)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in\n%s", format, w, got)
			}
		}
	}
	for text, want := range map[string]string{internetLab: "-.- n1\n", strings.Replace(internetLab, "  internet:\n", "  internet:\n    gateway: {left: 192.168.1.1/24}\n", 1): `-.-|"192.168.1.1/24"| n1` + "\n"} {
		out, err := Graph(parse(t, text), GraphMermaid)
		if err != nil || !strings.Contains(out, `(["internet<br/>www.dockercon.com 20ms<br/>docker.com<br/>`) || !strings.Contains(out, want) {
			t.Errorf("Graph = %v; the internet is not as it should be in\n%s", err, out)
		}
	}
	if _, err := Graph(spec, "svg"); err == nil {
		t.Error("Graph in svg: no error")
	}
}
