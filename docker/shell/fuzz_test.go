package shell

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"

	"net/netip"
)

// small is a machine with a bridge and a port on it, in which tools may do what they like.
func small(t testing.TB) *System {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ns, inner := netns.New(netns.Config{Name: "small", Forward: true}), netns.New(netns.Config{Name: "small/c1"})
	ns.SetResolver(resolveTest)
	br := must(ns.AddBridge(netns.InterfaceConfig{Name: "docker0", MAC: wire.MAC{2, 0x42, 1}, Addr: netip.MustParsePrefix("172.17.0.1/16")}))
	up, _, err := netns.NewVethPair(ns, netns.InterfaceConfig{Name: "veth1", MAC: wire.MAC{2, 0x42, 2}},
		inner, netns.InterfaceConfig{Name: "eth0", MAC: wire.MAC{2, 0x42, 3}, Addr: netip.MustParsePrefix("172.17.0.2/16")})
	if err != nil {
		t.Fatal(err)
	}
	if err := up.SetMaster(br); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, n := range []*netns.Namespace{ns, inner} {
		wg.Go(func() { _ = n.Run(ctx) })
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	return &System{NS: ns, Flavour: Host, Files: files("small", "172.17.0.1"), Sandboxes: func() map[string]*netns.Namespace {
		return map[string]*netns.Namespace{"1-abc": inner}
	}}
}

// words are arguments that tools have something to do with, and some that no tool expects.
var words = strings.Fields(`show list add del delete set flush get exec help stats link addr address route neigh netns fdb vlan macvlan dev via to
	from up down mtu type bridge master nomaster lladdr dst metric table eth0 docker0 veth1 lo any nope c2 web 1-abc localhost 127.0.0.1 172.17.0.1
	172.17.0.2 172.17.0.0/16 default 0.0.0.0/0 1.2.3.4/99 :: 999.1.1.1 02:42:ac:11:00:02 0 1 -1 80 65536 99999999999999999999 0.001 1e309 NaN x - -- --help
	-h -a -n -i -v -l -p -c -t -u -s -d -w -o -e -x -q -f -m -k -j -J -R -P -C -D -L -A -X -I -S -F -E -N -T -b -r -z -W -V -O -B
	-c1 -W0.01 -w0 -i0 -t0 -s0 -n0 -z1 -j1 -br -4 -6 -ln -tulpn -nvL --dport --sport --to-destination --time --parallel --report --json --reverse
	ACCEPT DROP MASQUERADE DNAT PREROUTING FORWARD nat filter tcp udp icmp and or not host port net proto ( ) ! { } [ 80:90 90-80 @172.17.0.2 +short +time=1 +x
	A PTR ANY http://127.0.0.1/ http:// https://[::1 file:///etc/hosts /etc/hosts /proc/net/dev /tmp /tmp/a / ../.. s/a/b/ s/( {print} {print$99} {for(;;)} %s %d%n
	list ruleset ip6 inet chain install update netcat`)

// argumentList makes a list of arguments of random words.
func argumentList(r *rand.Rand) []string {
	args := make([]string, r.IntN(6))
	for i := range args {
		args[i] = words[r.IntN(len(words))]
	}
	return args
}

// moment is how long a tool of which nothing is expected may run.
const moment = 5 * time.Millisecond

// try runs a tool, which must neither panic nor go on when its time is over.
func try(t testing.TB, s *System, argv []string) {
	ctx, cancel := context.WithTimeout(context.Background(), moment)
	defer cancel()
	late := time.AfterFunc(patience, func() { panic("still runs: " + strings.Join(argv, " ")) })
	defer late.Stop()
	code, err := RunArgs(ctx, s, argv, Stdio{In: strings.NewReader("a b\n\nGET / HTTP/1.0\n"), Out: io.Discard, Err: io.Discard})
	var none *NotFoundError
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &none) || code < 0 || code > 255 {
		t.Errorf("%q = %d, %v", argv, code, err)
	}
}

// everyFlavour returns a machine of each flavour on one namespace, and the tools that each has: all of the table, together.
func everyFlavour(t testing.TB) (systems []*System, tools [][]string) {
	t.Helper()
	host := small(t)
	left := maps.Clone(table)
	for f := range Flavour(len(flavourNames)) {
		s := &System{NS: host.NS, Flavour: f, Files: host.Files}
		if f == Host {
			s.Sandboxes, s.Namespaces = host.Sandboxes, spacesFor(t, host.NS)
		}
		systems, tools = append(systems, s), append(tools, s.Tools())
		for _, name := range s.Tools() {
			delete(left, name)
		}
	}
	if len(left) > 0 {
		t.Errorf("no flavour has %v", slices.Sorted(maps.Keys(left)))
	}
	return systems, tools
}

// No tool panics or hangs, whatever its arguments are.
func TestToolsBearAnyArguments(t *testing.T) {
	systems, tools := everyFlavour(t)
	r := rand.New(rand.NewPCG(1, 2))
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		n := []int{int(Host), int(Busybox), int(Full), int(Ubuntu)}[round%4]
		for _, name := range tools[n] {
			try(t, systems[n], append([]string{name}, argumentList(r)...))
		}
	}
}

func FuzzTools(f *testing.F) {
	systems, tools := everyFlavour(f)
	for n, names := range tools {
		for _, name := range names {
			f.Add(uint8(n), name+" -h")
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 80 {
		names := tools[n%len(tools)]
		f.Add(uint8(n%len(tools)), names[r.IntN(len(names))]+" "+strings.Join(argumentList(r), " "))
	}
	f.Fuzz(func(t *testing.T, flavour uint8, line string) {
		n := int(flavour) % len(systems)
		argv := strings.Split(line, " ")
		if !slices.Contains(tools[n], argv[0]) {
			argv = append([]string{tools[n][len(line)%len(tools[n])]}, argv...)
		}
		try(t, systems[n], argv)
	})
}
