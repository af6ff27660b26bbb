package lab

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/topologies"
)

// tsharkFaults are packets that tshark finds fault with, in a capture of a network that damages nothing.
const tsharkFaults = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || " +
	"icmp.checksum.status == 0 || frame.time_delta < 0"

// tsharkFinds returns the packets of a file that a filter finds, a line each. It checks every checksum and puts fragments
// together.
func tsharkFinds(t *testing.T, file, filter string, more ...string) []string {
	t.Helper()
	out, err := exec.Command("tshark", append([]string{"-n", "-r", file, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
		"-o", "udp.check_checksum:TRUE", "-Y", filter}, more...)...).Output()
	if err != nil {
		t.Fatalf("tshark -Y %q: %v", filter, err)
	}
	return slices.Collect(strings.Lines(string(out)))
}

// tsharkCounts returns how many packets of a file a filter finds.
func tsharkCounts(t *testing.T, file, filter string) int {
	t.Helper()
	return len(tsharkFinds(t, file, filter))
}

// What an overlay with NAT, VIPs and an impaired cable puts on its interfaces is right in every mode: trains, VXLAN, NAT,
// fragments of UDP and ICMP, frames that were lost, doubled or overtaken, and likewise what the ring has kept of it.
func TestCapturesOfEachModeForTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("tshark is not installed")
	}
	src, err := topologies.Open("pets-overlay")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := topology.Parse("pets-overlay.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), spec, Config{Ring: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var places []string
	for _, n := range l.Nodes() {
		places = append(places, n.FullName())
	}
	dir := t.TempDir()
	captured, remembered := filepath.Join(dir, "capture.pcapng"), filepath.Join(dir, "ring.pcapng")
	file, err := os.Create(captured)
	if err != nil {
		t.Fatal(err)
	}
	stats := capturing(t, l, file, places, func() { workAll(t, l) })
	if err := file.Close(); err != nil || stats.Dropped > 0 {
		t.Errorf("Capture = %+v, %v; want none dropped", stats, err)
	}
	if file, err = os.Create(remembered); err != nil {
		t.Fatal(err)
	}
	if _, err := l.SaveLast(file, time.Minute); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	for _, f := range []string{captured, remembered} {
		if bad := tsharkFinds(t, f, tsharkFaults); len(bad) > 0 {
			t.Errorf("%s: tshark finds fault with %d packets:\n%s", filepath.Base(f), len(bad), strings.Join(tsharkFinds(t, f, tsharkFaults, "-V")[:min(len(bad)*120, 200)], ""))
		}
	}
	for _, mode := range []string{"vxlan && tcp", "ip.dst == 10.255.0.0/16 && tcp.dstport == 8000", "tcp.dstport == 6379",
		"ip.flags.mf == 1 && ip.proto == 17", "tcp.len > 1000", `frame.comment contains "dropped: loss"`} {
		if tsharkCounts(t, captured, mode) == 0 {
			t.Errorf("no packet is %s", mode)
		}
	}
	if tsharkCounts(t, remembered, "vxlan && tcp") == 0 {
		t.Error("the ring has nothing of the overlay")
	}
}

// workAll makes packets of each mode pass.
func workAll(t *testing.T, l *Lab) {
	t.Helper()
	sh := func(node, line string) {
		t.Helper()
		var out strings.Builder
		if exit, err := l.MustNode(node).Run(soon(t), line, shell.Stdio{Out: &out, Err: &out}); err != nil || exit != 0 {
			t.Errorf("%s: %s: %d, %v\n%s", node, line, exit, err, out.String())
		}
	}
	eventually(t, "the page is served", func() bool {
		exit, err := l.MustNode("client").Run(soon(t), "curl -s -o /dev/null http://192.168.1.2:8000/", shell.Stdio{})
		return err == nil && exit == 0
	})
	for range 3 { // each task in its turn, on either host
		sh("client", "curl -s -o /dev/null http://192.168.1.2:8000/ && curl -s -o /dev/null http://192.168.1.3:8000/")
	}
	bulk(t, l.MustNode("client"), l.MustNode("host-a"), "192.168.1.2")
	delay, some := time.Millisecond, 0.05
	change := LinkChange{Delay: &delay, Loss: &some, Duplicate: &some, Reorder: &some}
	if _, err := l.Link(LinkRequest{From: "host-a", To: "tor", Change: change, Both: true}); err != nil {
		t.Fatal(err)
	}
	sh("client", "ping -q -i 0.01 -c 100 -s 4000 host-a || true")
	conn, err := l.MustNode("client").Dial(soon(t), "udp", "192.168.1.2:9999")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing waits to be sent
	for range 20 {
		if _, err := conn.Write(make([]byte, 4000)); err != nil && !strings.Contains(err.Error(), "refused") {
			t.Error(err)
		}
	}
	sh("client", "curl -s -o /dev/null -m 5 http://192.168.1.2:8000/ || true")
}

// bulk sends 400 kB over TCP, which go as trains.
func bulk(t *testing.T, from, to *Node, addr string) {
	t.Helper()
	ln, err := to.Listen("tcp", ":9100")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // it had its one connection
	sum := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			sum <- err.Error()
			return
		}
		got, _ := takeSum(conn) // what is missing shows in the sum
		sum <- got
	}()
	conn, err := from.Dial(soon(t), "tcp", addr+":9100")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(conn, random(400_000)); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if got, want := <-sum, sumOf(400_000); got != want {
		t.Errorf("%s got %s; want %s", to.Name(), got, want)
	}
}
