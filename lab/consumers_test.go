package lab

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/shell"
)

// program returns the path of a program of the machine, and skips without it.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not installed")
	}
	return path
}

// Redis's own programs talk to the container of the redis image through an exposed port.
func TestRedisProgramsReachTheLab(t *testing.T) {
	cli, benchmark := program(t, "redis-cli"), program(t, "redis-benchmark")
	l := exposed(t, Config{}, "0=host-a/cat-db:6379")
	_, port, err := net.SplitHostPort(l.Listening()[0].Listen)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		argv []string
		want []string
	}{
		{[]string{cli, "-p", port, "ping"}, []string{"PONG"}},
		{[]string{cli, "-p", port, "rpush", "cats", "tom", "felix"}, []string{"2"}},
		{[]string{cli, "-p", port, "lrange", "cats", "0", "-1"}, []string{"tom\nfelix"}},
		{[]string{benchmark, "-p", port, "-q", "-n", "2000", "-c", "10", "-P", "4", "-t", "ping,set,get,incr,lpush,lrange_100"},
			[]string{"SET: ", "GET: ", "INCR: ", "LRANGE_100", "requests per second"}},
	} {
		out, err := exec.CommandContext(soon(t), c.argv[0], c.argv[1:]...).CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", c.argv, err, out)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%q printed\n%s\nwant %q", c.argv, out, want)
			}
		}
	}
}

// tshark reads what tcpdump writes in a host, and finds no fault with it.
func TestTcpdumpFileForTshark(t *testing.T) {
	tshark := program(t, "tshark")
	l := exposed(t, Config{})
	var pcap, told bytes.Buffer
	const line = "{ tcpdump -i eth0 -c 14 -w /tmp/x.pcap host 192.168.1.10 & " +
		"for i in $(seq 50); do ping -c 1 -s 3000 192.168.1.10; curl http://192.168.1.10:1/; done; wait; } >/dev/null 2>&1; cat /tmp/x.pcap"
	exit, err := l.MustNode("host-a").Run(soon(t), line, shell.Stdio{Out: &pcap, Err: &told})
	if exit != 0 || err != nil {
		t.Fatalf("tcpdump: status %d, %v, %s", exit, err, told.Bytes())
	}
	path := filepath.Join(t.TempDir(), "x.pcap")
	if err := os.WriteFile(path, pcap.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tshark, "-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
		"-T", "fields", "-e", "frame.number", "-e", "_ws.malformed", "-e", "ip.checksum.status", "-e", "icmp.checksum.status").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != 14 {
		t.Errorf("tshark reads %d packets; want 14\n%s", len(lines), out)
	}
	for _, l := range lines {
		f := strings.Split(l, "\t")
		if len(f) != 4 || f[1] != "" || f[2] == "0" || f[3] == "0" {
			t.Errorf("tshark finds fault with packet %s", l)
		}
	}
}
