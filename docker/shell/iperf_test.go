package shell

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// iperf3 between two containers, and what it says where no server is.
func TestIperf(t *testing.T) {
	b := newBench(t)
	b.expect(b.c1, "iperf3 -c c2", "iperf3: error - unable to connect to server - server may have stopped running or use a different port, firewall issue, etc.: Connection refused", 1)
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = Run(ctx, b.c2, "iperf3 -s", Stdio{Out: io.Discard, Err: io.Discard}) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	for b.ctx.Err() == nil {
		if out, _, _ := b.run(b.c2, "ss -ltn"); strings.Contains(out, ":5201") {
			break
		}
		time.Sleep(time.Millisecond)
	}
	b.expect(b.c1, "iperf3 -c c2 -n 256K", `
Connecting to host c2, port 5201
[  5] local 172.17.0.2 port # connected to 172.17.0.3 port 5201
[ ID] Interval           Transfer     Bitrate
[  5]   0.00-#*sec   256 KBytes  *bits/sec                  
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate
[  5]   0.00-#*sec   256 KBytes  *bits/sec                  sender
[  5]   0.00-#*sec   *Bytes  *bits/sec                  receiver

iperf Done.`, 0)
	b.expect(b.c1, "until iperf3 -c c2 -u -b 10M -t 0.2 -R -P 2 > /tmp/out 2>&1; do sleep 0.01; done; grep SUM /tmp/out | tail -1", "[SUM]   0.00-#* sec  *bits/sec  # ms  0/# (0%)  receiver", 0)
	b.expect(b.c1, "until iperf3 -c c2 -J -t 0.1 > /tmp/out; do sleep 0.01; done; cat /tmp/out | grep -c -e sum_sent -e sum_received", "2", 0)
	b.expect(b.c1, "iperf3", "iperf3: parameter error - must either be a client (-c) or server (-s)\n\nUsage: iperf3 ***", 1)
	b.expect(b.c1, "iperf3 -s -u", "iperf3: parameter error - some option you are trying to set is client only\n\nUsage: iperf3 ***", 1)
}
