package lab_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

// What belongs to the machine cannot be in virtual time, and is told with its place.
func TestCheckVirtual(t *testing.T) {
	const head = "netsim: 1\nname: x\nfabric:\n"
	for _, c := range []struct{ name, text, want string }{
		{"in memory", head + "  switches: {s: {}}\n  hosts: {a: {links: {s: 10.0.0.1/24}}}\n", ""},
		{"a tap", head + "  switches: {s: {tap: {name: tap0}}}\n  hosts: {a: {links: {s: 10.0.0.1/24}}}\n",
			"x.yaml:4:23: the tap of s is a device of the kernel"},
		{"a host of the kernel", head + "  switches: {s: {}}\n  hosts:\n    a: {links: {s: 10.0.0.1/24}, kernel: true}\n",
			"x.yaml:6:5: a is a namespace of the kernel"},
		{"a remote host", head + "  listen: 127.0.0.1:4789\n  switches: {s: {}}\n  hosts:\n    a: {links: {s: 10.0.0.1/24}, remote: 127.0.0.1:4790}\n    b: {links: {s: 10.0.0.2/24}}\n",
			"x.yaml:7:5: a is run by another process"},
		{"an exposed port", head + "  switches: {s: {}}\n  hosts: {a: {links: {s: 10.0.0.1/24}}}\nexpose: {8080: \"a:80\"}\n",
			"x.yaml:6:10: 127.0.0.1:8080 is a port of the machine"},
		{"a command", "needs: ping\n" + head + "  switches: {s: {}}\n  hosts: {a: {links: {s: 10.0.0.1/24}}}\n",
			"x.yaml:1:8: the lab needs ping of the machine"},
		{"a plug-in that is there", head + "  switches: {s: {}}\n  hosts: {a: {links: {s: 10.0.0.1/24}, engine: docker}}\nplugins:\n  p: {socket: /}\n",
			"x.yaml:7:3: the plug-in p is another process"},
		{"a plug-in that is not there", head + "  switches: {s: {}}\n  hosts: {a: {links: {s: 10.0.0.1/24}, engine: docker}}\nplugins:\n  p: {socket: /no/such.sock}\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, err := topology.Parse("x.yaml", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			err = lab.CheckVirtual(spec)
			if c.want == "" {
				if err != nil {
					t.Errorf("CheckVirtual = %v; want nil", err)
				}
				return
			}
			var errs topology.Errors
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || !errors.As(err, &errs) || !errors.Is(err, lab.ErrUnable) {
				t.Errorf("CheckVirtual = %v; want topology.Errors and ErrUnable: %s", err, c.want)
			}
		})
	}
}
