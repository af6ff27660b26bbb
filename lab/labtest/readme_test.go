package labtest_test

import (
	"net/http"
	"testing"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/labtest"
)

// What the README shows.
func TestWebBehindARouter(t *testing.T) {
	b := lab.NewBuilder()
	left, right := b.Switch("left"), b.Switch("right")
	r := b.Router("r", "10.1.0.1/24", "10.2.0.1/24")
	b.Link(r, left)
	b.Link(r, right)
	b.Link(b.Host("client", "10.1.0.2/24").Gateway("10.1.0.1"), left)
	b.Link(b.Host("server", "10.2.0.2/24").Gateway("10.2.0.1"), right)
	l := labtest.Build(t, b)

	wire, err := l.Node("r").Capture("eth1") // what passes an interface
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Stop()
	ln, err := l.Node("server").Listen("tcp", ":80") // a net.Listener: net/http and the like run on it
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(ln, http.NotFoundHandler())
	c, err := l.Node("client").Dial(t.Context(), "tcp", "server:80")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := wire.Wait(t.Context(), func(p lab.Packet) bool { return p.DstPort == 80 }); err != nil {
		t.Error(err)
	}
	if out, exit := l.Sh("client", "ping -c 1 server"); exit != 0 {
		t.Error(out)
	}
}
