package shell

import "testing"

// Several next hops are written and listed as iproute2 does.
func TestIPNextHops(t *testing.T) {
	b := newBench(t)
	for _, tt := range []struct {
		line, want string
		status     int
	}{
		{"ip route add 10.0.0.0/8 nexthop via 172.17.0.2 nexthop via 192.168.56.1 dev eth0 weight 3 && ip route show 10.0.0.0/8",
			"10.0.0.0/8 \n\tnexthop via 172.17.0.2  dev docker0 weight 1\n\tnexthop via 192.168.56.1  dev eth0 weight 3", 0},
		{"ip route show dev eth0 via 192.168.56.1", "10.0.0.0/8 \n\tnexthop via 172.17.0.2  dev docker0 weight 1\n\tnexthop via 192.168.56.1  dev eth0 weight 3", 0},
		{"ip route add 10.0.0.0/8 nexthop via 172.17.0.2", "RTNETLINK answers: File exists", 2},
		{"ip route replace 10.0.0.0/8 metric 0 nexthop via 172.17.0.3 nexthop via 172.17.0.2 && ip route get 10.1.1.1",
			"10.1.1.1 via 172.17.0.3 dev docker0  src 172.17.0.1 \n    cache ", 0},
		{"ip route del 10.0.0.0/8 && ip route show 10.0.0.0/8", "", 0},
		{"ip route add 10.0.0.0/8 nexthop via x", "Error: inet address is expected rather than \"x\".", 1},
		{"ip route add 10.0.0.0/8 nexthop via 172.17.0.2 weight 0", "Error: \"weight\" is invalid: \"0\"", 1},
		{"ip route add 10.0.0.0/8 nexthop", "RTNETLINK answers: No such device", 2},
		{"ip route add 10.0.0.0/8 nexthop via 10.9.9.9", "RTNETLINK answers: Network is unreachable", 2},
		{"ip route add 10.0.0.0/8 nexthop via 10.9.9.9 dev eth0", "RTNETLINK answers: Network is unreachable", 2},
		{"ip route add 10.0.0.0/8 nexthop via 172.17.0.2 dev eth9", "Cannot find device \"eth9\"", 1},
		{"ip route add 10.0.0.0/8 nexthop via 172.17.0.2 dev", "Command line is not complete. Try option \"help\"", 255},
		{"ip route add 10.0.0.0/8 nexthop dev docker0 hop", "Error: either \"hop\" is duplicate, or \"hop\" is a garbage.", 255},
	} {
		b.expect(b.host, tt.line, tt.want, tt.status)
	}
}
