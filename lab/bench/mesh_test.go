package bench

import (
	"net"
	"net/netip"
	"testing"
)

// What the row tcp-mesh measures crosses hosts: the task sees the address of the first host's ingress sandbox (R5).
func TestMeshCrossesHosts(t *testing.T) {
	r := newRig(t.Context())
	from, to := r.mesh()
	err := r.use(func() error {
		l, err := to.Listen("tcp", ":"+streamPort)
		if err != nil {
			return err
		}
		defer closeWith(r.ctx, l)()
		c, err := from.Dial(r.ctx, "tcp", net.JoinHostPort(hostAddress, streamPort))
		if err != nil {
			return err
		}
		defer closeWith(r.ctx, c)()
		in, err := l.Accept()
		if err != nil {
			return err
		}
		defer closeWith(r.ctx, in)()
		seen, err := netip.ParseAddrPort(in.RemoteAddr().String())
		if want := netip.MustParseAddr("10.255.0.2"); err != nil || seen.Addr() != want {
			t.Errorf("the task sees %v, %v; want %v", seen, err, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
