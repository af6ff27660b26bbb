package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
)

// capturing captures to w while do runs, from when the interfaces are looked at.
func capturing(t *testing.T, l *Lab, w io.Writer, places []string, do func()) CaptureStats {
	t.Helper()
	ctx, cancel := context.WithCancel(soon(t))
	first := make(chan struct{}, 1)
	began := writerFunc(func() {
		select {
		case first <- struct{}{}:
		default:
		}
	})
	done := make(chan error)
	var stats CaptureStats
	go func() {
		var err error
		stats, err = l.Capture(ctx, CaptureRequest{Places: places}, writers{w, began})
		done <- err
	}()
	<-first
	do()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return stats
}

func TestCaptureTellsWhatACableLost(t *testing.T) {
	l := start(t, strings.Replace(twoHosts, "  internet:", "  links: [{between: [a, s1], loss: 100%}]\n  internet:", 1), Config{})
	var pcap bytes.Buffer
	capturing(t, l, &pcap, []string{"a:eth0"}, func() {
		nobody := 2
		eventually(t, "two frames are lost, so that the first is captured", func() bool {
			ctx, cancel := context.WithTimeout(soon(t), 20*time.Millisecond)
			defer cancel()
			if _, err := l.MustNode("a").Ping(ctx, fmt.Sprintf("10.0.0.%d", nobody)); err == nil { // asks at once, for it is another each time
				t.Error("a cable that loses all carried a ping")
			}
			nobody = 2 + (nobody-1)%200
			return slices.ContainsFunc(l.Drops(), func(d DropCount) bool { return d.Reason == fabric.DropLoss.String() && d.Frames > 1 })
		})
	})
	if !bytes.Contains(pcap.Bytes(), []byte("dropped: loss at a/eth0")) {
		t.Errorf("the capture says nothing of the loss: %q", pcap.Bytes())
	}
}

// tshark reads what a lab's interfaces of every kind saw, and finds no fault with it.
func TestCaptureOfALabForTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	l := exposed(t, Config{}, "0=host-a:8000")
	path := filepath.Join(t.TempDir(), "lab.pcapng")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	places := []string{"host-a", "host-a:lo", "client:eth0", "host-a/cat-web", "cat-db:eth0", "dns"}
	stats := capturing(t, l, file, places, func() {
		get(t, nil, "http://"+l.Listening()[0].Listen+"/")
		if _, err := l.MustNode("client").Ping(soon(t), "host-a"); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(soon(t), 50*time.Millisecond)
		defer cancel()
		_, _ = l.MustNode("client").Ping(ctx, "192.168.1.77") // nobody has the address
	})
	if err := file.Close(); err != nil || stats.Dropped > 0 || stats.Written < 50 {
		t.Errorf("Capture = %+v, %v; want 50 packets and none dropped", stats, err)
	}
	run := func(args ...string) string {
		out, err := exec.Command(tshark, append([]string{"-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
			"-o", "udp.check_checksum:TRUE"}, args...)...).Output()
		if err != nil {
			t.Fatalf("tshark %v: %v", args, err)
		}
		return string(out)
	}
	bad := "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0 || frame.time_delta < 0"
	if got := run("-Y", bad); got != "" {
		t.Errorf("tshark finds fault with\n%s", got)
	}
	if got := strings.Count(run(), "\n"); got != int(stats.Written) {
		t.Errorf("tshark reads %d packets; want %d", got, stats.Written)
	}
	names := run("-T", "fields", "-e", "frame.interface_name")
	for _, want := range []string{"host-a:eth0", "client:eth0", "host-a/cat-web:eth0", "host-a/cat-db:eth0", "dns:eth0"} {
		if !strings.Contains(names, want+"\n") {
			t.Errorf("no packet is of interface %s", want)
		}
	}
}
