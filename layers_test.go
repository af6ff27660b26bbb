package netsim_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/netsim-lab/netsim"

// floors lists the packages from the top down. A package may import those on floors below its own, and those beside it
// that it names.
var floors = [][]string{
	{"cmd/netsim", "timelines"},
	{"lab"},
	{"lab/bench", "lab/topology", "lab/explain", "lab/web", "lab/virtual"},
	{"docker/swarm", "docker/api"},
	{"docker/engine"},
	{"docker/cnm"},
	{"docker/image", "docker/shell", "docker/ipam", "docker/iperf"},
	{"netns"},
	{"l2switch", "vxlan", "nat", "lb", "dns"},
	{"fabric"},
	{"fabric/wire"},
	{"topologies"},
}

// beside are imports within a floor.
var beside = map[string][]string{
	"docker/shell": {"docker/image", "docker/iperf"},
	"lab/bench":    {"lab/topology"},

	"docker/swarm/rpc":       {"docker/swarm/ca"},
	"docker/swarm/consensus": {"docker/swarm/ca", "docker/swarm/rpc"},
	"docker/swarm/directory": {"docker/swarm/gossip"},
	"docker/swarm/agent":     {"docker/swarm/quiet"},
	"docker/swarm/executor":  {"docker/swarm/agent", "docker/swarm/directory", "docker/swarm/gossip", "docker/swarm/quiet"},
	"docker/swarm/state":     {"docker/swarm/consensus"},
	"docker/swarm/manager":   {"docker/swarm/allocate", "docker/swarm/ca", "docker/swarm/consensus", "docker/swarm/quiet", "docker/swarm/rpc", "docker/swarm/state"},
	"docker/swarm/node": {
		"docker/swarm/agent", "docker/swarm/ca", "docker/swarm/consensus", "docker/swarm/gossip", "docker/swarm/manager", "docker/swarm/quiet",
		"docker/swarm/rpc", "docker/swarm/state",
	},
}

// homes says which packages may import an outside module, and which parts of it.
var homes = []struct {
	prefix string
	homes  []string
}{
	{"gvisor.dev/gvisor/pkg/buffer", []string{"fabric", "netns", "vxlan"}},
	{"gvisor.dev/gvisor", []string{"netns"}},
	{"github.com/songgao/water", []string{"fabric"}},
	{"github.com/google/gopacket", []string{"fabric", "docker/shell"}},
	{"github.com/miekg/dns", []string{"dns"}},
	{"github.com/spf13/cobra", []string{"cmd/netsim"}},
	{"gopkg.in/yaml.v3", []string{"cmd/netsim/dockercli", "lab/topology"}},
	{"github.com/hashicorp/memberlist", []string{"docker/swarm/gossip"}},
	{"github.com/hashicorp/go-msgpack", []string{"docker/swarm/gossip"}},
	{"mvdan.cc/sh", []string{"docker/shell"}},
	{"github.com/alicebob/miniredis", []string{"docker/image"}},
	{"github.com/docker/docker", []string{"docker/api", "cmd/netsim/dockercli"}},
	{"github.com/docker/cli", []string{"cmd/netsim/dockercli"}},
	{"github.com/containerd/errdefs", []string{"cmd/netsim/dockercli"}},
	{"github.com/opencontainers/image-spec", []string{"cmd/netsim/dockercli"}},
	{"github.com/sirupsen/logrus", []string{"cmd/netsim/dockercli", "docker/swarm/quiet"}},
	{"github.com/moby/swarmkit/v2", []string{"docker/swarm", "docker/api", "lab"}},
	{"github.com/docker/go-events", []string{"docker/swarm"}},
	{"github.com/gogo/protobuf", []string{"docker/swarm", "docker/api"}},
	{"google.golang.org/grpc", []string{"docker/swarm", "docker/api"}},
	{"github.com/spf13/pflag", []string{"cmd/netsim"}},
	{"go.opentelemetry.io/otel", []string{"cmd/netsim/dockercli"}},
	{"github.com/docker/go-connections", []string{"docker/api"}},
	{"github.com/distribution/reference", []string{"cmd/netsim/dockercli"}},
	{"github.com/docker/go-units", []string{"docker/api"}},
	{"go.etcd.io/etcd/raft/v3", []string{"docker/swarm/consensus"}},
	{"google.golang.org/grpc", []string{"docker/api", "docker/swarm"}},
	{"github.com/gogo/protobuf", []string{"docker/api", "docker/swarm"}},
	{"github.com/opencontainers/go-digest", []string{"docker/swarm/manager"}},
}

// anywhere are outside modules that any package may import.
var anywhere = []string{"golang.org/x/"}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// floorOf returns how far down a package is. Test helpers (fabric/fabrictest) stand on the floor of their parent, and
// the parts of a package (docker/image/demo) on that of the whole.
func floorOf(p string) int {
	for dir := p; dir != "." && dir != "/"; dir = path.Dir(dir) {
		for n, floor := range floors {
			for _, name := range floor {
				if name == dir {
					return n
				}
			}
		}
	}
	return -1
}

// allowed tells whether from may import to, both within the module.
func allowed(from, to string) bool {
	if strings.HasPrefix(from, to+"/") || strings.HasPrefix(to, from+"/") {
		return floorOf(from) <= floorOf(to)
	}
	if floorOf(from) < floorOf(to) {
		return true
	}
	for _, b := range beside[from] {
		if b == to {
			return true
		}
	}
	return false
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if from == "" {
			continue
		}
		if floorOf(from) < 0 {
			t.Errorf("package %s stands on no floor: add it to floors", from)
			continue
		}
		for _, i := range p.Imports {
			if to, ok := strings.CutPrefix(i, module+"/"); ok && !allowed(from, to) {
				t.Errorf("%s imports %s, which is not below it", from, to)
			}
		}
	}
}

func TestOutsideModulesHaveHomes(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, i := range p.Imports {
			if !strings.Contains(strings.Split(i, "/")[0], ".") || strings.HasPrefix(i, module) {
				continue
			}
			if !atHome(from, i) {
				t.Errorf("%s imports %s, whose home is elsewhere", from, i)
			}
		}
	}
}

// Docker's command line is the top floor's alone: a program made of the parts below builds none of it.
func TestPartsBuildWithoutDockersCommandLine(t *testing.T) {
	args := []string{"list", "-deps"}
	for _, p := range []string{"fabric", "l2switch", "vxlan", "nat", "lb", "dns", "netns", "lab"} {
		args = append(args, module+"/"+p)
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		if strings.HasPrefix(dep, "github.com/docker/cli") || strings.HasPrefix(dep, module+"/cmd") {
			t.Errorf("the parts build %s", strings.TrimSpace(dep))
		}
	}
}

func atHome(from, outside string) bool {
	for _, a := range anywhere {
		if strings.HasPrefix(outside, a) {
			return true
		}
	}
	for _, h := range homes {
		if outside != h.prefix && !strings.HasPrefix(outside, h.prefix+"/") {
			continue
		}
		for _, home := range h.homes {
			if from == home || strings.HasPrefix(from, home+"/") {
				return true
			}
		}
		return false
	}
	return false
}
