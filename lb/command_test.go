package lb

import (
	"errors"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// run runs command lines that must work and returns what the last one prints.
func run(t *testing.T, b *Balancer, lines ...string) (out string) {
	t.Helper()
	for _, line := range lines {
		var err error
		if out, err = b.Command(strings.Fields(line)); err != nil {
			t.Fatalf("ipvsadm %s: %v", line, err)
		}
	}
	return out
}

const head = "IP Virtual Server version 1.2.1 (size=4096)\n" +
	"Prot LocalAddress:Port Scheduler Flags\n" +
	"  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"

func TestListings(t *testing.T) { // format 16.12
	b := New(Config{Now: func() int64 { return after(2) }})
	run(t, b, "-A -f 256 -s rr", "-a -f 256 -r 10.255.0.7:0 -m -w 1", "-a -f 256 -r 10.255.0.6 -m")
	dst := ap("10.255.0.5:80")
	for i, at := range []float64{0, 1, 2} {
		src := ap("10.255.0.2:41210")
		src = port(int(src.Port()) + i)
		to, _ := b.Request(packet(t, wire.ProtoTCP, wire.SYN, src, dst, ""), 256, after(at))
		if i == 1 {
			b.Reply(packet(t, wire.ProtoTCP, wire.SYN|wire.ACK, to, src, ""), after(at))
			b.Request(packet(t, wire.ProtoTCP, wire.ACK, src, dst, ""), 256, after(at))
		}
	}
	b.Request(packet(t, wire.ProtoUDP, 0, port(53021), ap("10.255.0.5:53"), "q"), 256, after(1))
	for _, tt := range []struct{ line, want string }{
		{"-ln", head + `FWM  256 rr
  -> 10.255.0.6:0                 Masq    1      0          2
  -> 10.255.0.7:0                 Masq    1      1          1
`},
		{"", head + `FWM  256 rr
  -> 10.255.0.6:0                 Masq    1      0          2
  -> 10.255.0.7:0                 Masq    1      1          1
`},
		{"-L -n -f 256", `Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
FWM  256 rr
  -> 10.255.0.6:0                 Masq    1      0          2
  -> 10.255.0.7:0                 Masq    1      1          1
`},
		{"-lnc", `IPVS connection entries
pro expire state       source             virtual            destination
TCP 00:58  SYN_RECV    10.0.0.2:41210     10.255.0.5:80      10.255.0.6:80
TCP 14:59  ESTABLISHED 10.0.0.2:41211     10.255.0.5:80      10.255.0.7:80
TCP 01:00  SYN_RECV    10.0.0.2:41212     10.255.0.5:80      10.255.0.6:80
UDP 04:59  UDP         10.0.0.2:53021     10.255.0.5:53      10.255.0.7:53
`},
		{"-ln --stats", `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
FWM  256                                 4        5        1      189       40
  -> 10.255.0.6:0                        2        2        0       80        0
  -> 10.255.0.7:0                        2        3        1      109       40
`},
		{"-l --timeout", "Timeout (tcp tcpfin udp): 900 120 300\n"}, // L20
		{"-S", "-A -f 256 -s rr\n-a -f 256 -r 10.255.0.6:0 -m -w 1\n-a -f 256 -r 10.255.0.7:0 -m -w 1\n"},
	} {
		if got := run(t, b, tt.line); got != tt.want {
			t.Errorf("ipvsadm %s prints\n%s\nwant\n%s", tt.line, got, tt.want)
		}
	}
}

func TestCommands(t *testing.T) {
	b := New(Config{})
	got := run(t, b,
		"-A -t 10.0.0.5:80 -s wrr", "-A -u 10.0.0.5:53", "--add-service --fwmark-service=256 --scheduler rr", "-A -t 10.0.0.4:8000 -s lc",
		"-a -t 10.0.0.5:80 -r 10.0.0.6 -m -w3", "-a -t 10.0.0.5:80 -r 10.0.0.7:8080 -mw 2", "-a -u 10.0.0.5:53 -r 10.0.0.6:53 -m",
		"-e -t 10.0.0.5:80 -r 10.0.0.6:80 -m -w 0", "-E -t 10.0.0.4:8000 -s sh",
		"-a -f 256 -r 10.0.0.9 -m", "-d -f 256 -r 10.0.0.9", "-Z", "-Z -f 256", "-ln")
	want := head + `TCP  10.0.0.4:8000 sh
TCP  10.0.0.5:80 wrr
  -> 10.0.0.6:80                  Masq    0      0          0
  -> 10.0.0.7:8080                Masq    2      0          0
UDP  10.0.0.5:53 wlc
  -> 10.0.0.6:53                  Masq    1      0          0
FWM  256 rr
`
	if got != want {
		t.Errorf("it lists\n%s\nwant\n%s", got, want)
	}
	if got := run(t, b, "--set 0 60 30", "-l --timeout"); got != "Timeout (tcp tcpfin udp): 900 60 30\n" {
		t.Errorf("timeouts: %s", got)
	}
	if got := run(t, b, "-D -f 256", "-C", "-ln"); got != head {
		t.Errorf("after -C it lists\n%s", got)
	}
	if !strings.HasPrefix(run(t, b, "-h"), "Usage:") || b.Enabled() {
		t.Error("no help, or still enabled")
	}
}

func TestCommandErrors(t *testing.T) {
	b := balancer(t, realA)
	for _, tt := range []struct {
		line, want string
		is         error
	}{
		{"-A -f 256", "Service already exists", ErrServiceExists},
		{"-A -f 9 -s best", "Scheduler or persistence engine not found", ErrNoScheduler},
		{"-E -f 9", "No such service", ErrNoService},
		{"-D -t 10.0.0.5:80", "No such service", ErrNoService},
		{"-l -f 9", "No such service", ErrNoService},
		{"-Z -f 9", "No such service", ErrNoService},
		{"-a -f 9 -r 10.0.0.6 -m", "Service not defined", ErrNoService},
		{"-a -f 256 -r 10.0.0.6 -m", "Destination already exists", ErrDestinationExists},
		{"-d -f 256 -r 10.0.0.7", "No such destination", ErrNoDestination},
		{"-a -f 256 -r 10.0.0.7", "only masquerading is supported here: add -m to the 'add-server' command", ErrInvalid},
		{"-a -f 256 -r 10.0.0.7 -g", "gatewaying: only masquerading (-m) is supported here", ErrInvalid},
		{"-a -f 256 -r web -m", `illegal real server address[:port] specified: "web"`, ErrInvalid},
		{"-a -f 256 -r 10.0.0.7 -m -w 65536", `illegal weight specified: "65536" is not between 0 and 65535`, ErrInvalid},
		{"-a -f 256 -m", "You need to supply the 'server-address' option for the 'add-server' command", ErrInvalid},
		{"-A", "You need to supply the 'service-address' option for the 'add-service' command", ErrInvalid},
		{"-A -t 10.0.0.5", "Zero port specified for non-persistent service", ErrInvalid},
		{"-A -t [fd00::1]:80", `illegal virtual server address[:port] specified: "[fd00::1]:80"`, ErrInvalid},
		{"-A -f 0", "invalid fwmark value `0' specified", ErrInvalid},
		{"-A -f 1 -t 10.0.0.5:80", "multiple 'service-address' options specified", ErrInvalid},
		{"-A -f 1 -s rr -s rr", "multiple 'scheduler' options specified", ErrInvalid},
		{"-A -f 1 -w 1", "Illegal 'weight' option with the 'add-service' command", ErrInvalid},
		{"-A -f 1 -p 60", "persistent services are not supported here", ErrInvalid},
		{"-A -f", "-f: missing argument", ErrInvalid},
		{"-A -l", "multiple commands specified", ErrInvalid},
		{"-n", "the first option must be a command, such as -L, -A or -a", ErrInvalid},
		{"list", "the first word must be a command, such as -L, -A or -a", ErrInvalid},
		{"-ln all", "unexpected argument all", ErrInvalid},
		{"-lnc --stats", "options conflicts in the list command", ErrInvalid},
		{"-l --stats=1", "--stats: option does not take an argument", ErrInvalid},
		{"-l --best", "--best: unknown option", ErrInvalid},
		{"-lq", "-q: unknown option", ErrInvalid},
		{"--set 1 2", "--set option requires 3 timeout values", ErrInvalid},
		{"--set 1 2 x", "invalid timeout value `x' specified", ErrInvalid},
	} {
		out, err := b.Command(strings.Fields(tt.line))
		if out != "" || err == nil || err.Error() != tt.want || !errors.Is(err, tt.is) {
			t.Errorf("ipvsadm %s = %q, %v; want %s", tt.line, out, err, tt.want)
		}
	}
}

func TestLargeNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 99999999: "99999999", 100000000: "100000K", 1000000000: "1000M", 100000000000: "100G", 100000000000000: "100T"} {
		if got := largeNumber(n); got != want {
			t.Errorf("largeNumber(%d) = %s, want %s", n, got, want)
		}
	}
}
